//! The screen.

pub mod columns;
pub mod format;
pub mod keymap;
pub mod layout;
pub mod model;
pub mod snapshot;
pub mod theme;
pub mod update;
pub mod view;
pub mod wake;
