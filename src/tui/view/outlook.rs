//! What other settings would do to those who are here, in words.

use crate::presence::trust::Outlook;
use crate::tui::format::fit;
use crate::tui::model::Model;

use super::count;

/// How many cells one name may take among others.
const NAME_MAX: usize = 20;

/// Writes `3 clients at risk: a, b, c`, or `3 at risk: a, b, c`, naming at most so many.
pub(super) fn at_risk(model: &Model, outlook: &Outlook, most: usize, long: bool) -> String {
    let ellipsis = model.look.glyphs().ellipsis;
    let names: Vec<_> = outlook.names.iter().take(most).map(|name| fit(name, NAME_MAX, ellipsis)).collect();
    let number = outlook.at_risk;
    let who = if long { count(number, "client") } else { number.to_string() } + " at risk";
    match (names.len(), outlook.at_risk.saturating_sub(names.len())) {
        (0, _) => who,
        (_, 0) => format!("{who}: {}", names.join(", ")),
        (_, more) => format!("{who}: {} and {more} more", names.join(", ")),
    }
}

/// Writes who would go by the old timeout for a while, if anybody would.
pub(super) fn pinned(outlook: &Outlook) -> Option<String> {
    let (verb, whose) = if outlook.pinned == 1 { ("keeps its", "its") } else { ("keep their", "their") };
    let clients = count(outlook.pinned, "legacy client");
    (outlook.pinned > 0).then(|| format!("{clients} {verb} timeout until {whose} pings fit"))
}
