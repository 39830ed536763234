//! The screens: golden frames, every size, every key, and what time alone makes them draw.

#![expect(
    clippy::cast_precision_loss,
    clippy::unchecked_time_subtraction,
    reason = "the numbers of a test are small and known"
)]
#![expect(clippy::unwrap_used, reason = "helpers of a test, not tests to clippy")]

mod asking;
mod drawing;
mod fleet;
mod frames;
mod groups;
mod keys;
mod open;
mod picture;
mod sizes;
mod writing;
