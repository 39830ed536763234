//! How large what there is of every client may be: there may be a hundred thousand of them.
//!
//! Where one of these grows, the memory of a connection grows with it. What few
//! clients have belongs on the heap; `cargo bench --bench memory` shows the whole.

use std::mem::size_of;

use super::super::*;
use crate::presence::pulse::Pulse;
use crate::presence::registry::takeover::Tenure;
use crate::presence::rhythm::Rhythm;

#[test]
fn what_every_client_has_stays_small() {
    let sizes = [
        ("a row", size_of::<Row>(), 264),
        ("a connection", size_of::<Live>(), 104),
        ("a connection's place", size_of::<(ConnNo, Option<Live>)>(), 112),
        ("a pulse", size_of::<Pulse>(), 72),
        ("settings", size_of::<Settings>(), 16),
        ("changes of state", size_of::<Rhythm>(), 24),
        ("a tenure", size_of::<Option<Tenure>>(), 40),
        ("what a map has for a row", size_of::<(RowKey, Box<Row>)>(), 16),
    ];
    for (what, bytes, most) in sizes {
        assert!(bytes <= most, "{what}: {bytes} bytes");
    }
}
