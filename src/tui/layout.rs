//! Where the panels are: a pure function of the size and of what is open.

use ratatui::layout::Rect;

use super::columns::PLAIN;

/// What the layout has to know besides the size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent fact, and they meet only here")]
pub struct Facts {
    /// Whether this is the client's screen.
    pub join: bool,
    /// Whether there is something for the line below the header.
    pub banner: bool,
    /// Whether the details are open.
    pub details: bool,
    /// Whether the events are wanted.
    pub events: bool,
    /// The panel that has all the room.
    pub zoom: Option<Pane>,
}

/// A panel that can have the focus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pane {
    /// The client's own card.
    Card,
    /// The table of clients.
    #[default]
    Table,
    /// The events.
    Events,
    /// The details of the selected client.
    Details,
}

/// Where everything goes; an area without cells is not drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Plan {
    /// The lines at the top.
    pub header: Rect,
    /// The line for alerts and banners.
    pub banner: Rect,
    /// The client's own card.
    pub card: Rect,
    /// The client's round trips.
    pub trips: Rect,
    /// The table, with its border.
    pub table: Rect,
    /// The table's column heads.
    pub heads: Rect,
    /// The table's rows.
    pub rows: Rect,
    /// The details.
    pub details: Rect,
    /// The events, with their border.
    pub events: Rect,
    /// The line of hints.
    pub hints: Rect,
    /// Whether panels have borders.
    pub borders: bool,
}

impl Plan {
    /// Returns how many rows of clients fit.
    #[must_use]
    pub fn height(&self) -> usize {
        self.rows.height.into()
    }

    /// Returns how many events fit.
    #[must_use]
    pub fn event_lines(&self) -> usize {
        self.events.height.saturating_sub(2).into()
    }
}

/// Lays a screen out.
#[must_use]
pub fn plan(width: u16, height: u16, facts: Facts) -> Plan {
    let mut rest = Rect::new(0, 0, width, height);
    let mut plan = Plan { borders: width >= cell(PLAIN) && height >= 14, ..Plan::default() };
    plan.header = top(&mut rest, header_lines(width, height, facts.join));
    // One line needs the next below it: an alert without the row it is about would be a riddle.
    if facts.banner && height >= 4 {
        plan.banner = top(&mut rest, 1);
    }
    if height >= 8 && rest.height > 1 {
        plan.hints = bottom(&mut rest, 1);
    }
    if let Some(pane) = facts.zoom.filter(|pane| possible(*pane, &plan, facts)) {
        zoom(&mut plan, pane, rest);
        return plan;
    }
    if facts.join {
        card(&mut plan, &mut rest, width, height);
    }
    if facts.events && plan.borders && height >= 20 {
        let lines = if height >= 30 { 9 } else { 5 };
        plan.events = bottom(&mut rest, lines);
    }
    if facts.details {
        details(&mut plan, &mut rest);
    }
    table(&mut plan, rest);
    plan
}

fn cell(n: usize) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}

fn header_lines(width: u16, height: u16, join: bool) -> u16 {
    match height {
        0..8 => 1,
        8..14 if !join => 1,
        _ if width < cell(PLAIN) && !join => 1,
        _ => 2,
    }
}

fn possible(pane: Pane, plan: &Plan, facts: Facts) -> bool {
    match pane {
        Pane::Table => true,
        Pane::Card => facts.join && plan.borders,
        Pane::Events => plan.borders,
        Pane::Details => facts.details,
    }
}

fn zoom(plan: &mut Plan, pane: Pane, rest: Rect) {
    match pane {
        Pane::Table => table(plan, rest),
        Pane::Events => plan.events = rest,
        Pane::Details => plan.details = rest,
        Pane::Card => plan.card = rest,
    }
}

fn card(plan: &mut Plan, rest: &mut Rect, width: u16, height: u16) {
    if width >= 110 && height >= 30 {
        let both = top(rest, 11);
        let left = both.width * 7 / 12;
        plan.card = Rect { width: left, ..both };
        plan.trips = Rect { x: both.x + left, width: both.width - left, ..both };
    } else if plan.borders {
        plan.card = top(rest, 5);
    } else if height >= 8 {
        plan.card = top(rest, if height >= 14 { 3 } else { 2 });
    }
}

/// The details take a drawer below the table, or the events' place, or all there is.
fn details(plan: &mut Plan, rest: &mut Rect) {
    const DRAWER: u16 = 9;
    const ROWS_MIN: u16 = 5;
    if rest.height < DRAWER + ROWS_MIN {
        rest.height += plan.events.height;
        plan.events = Rect::default();
    }
    let lines = if rest.height < DRAWER + ROWS_MIN { rest.height } else { DRAWER };
    plan.details = bottom(rest, lines);
}

fn table(plan: &mut Plan, area: Rect) {
    plan.table = area;
    if area.height == 0 {
        return;
    }
    let mut inner = area;
    if plan.borders && area.height >= 4 {
        inner = Rect::new(area.x + 1, area.y + 1, area.width.saturating_sub(2), area.height - 2);
    }
    if area.width >= cell(PLAIN) && inner.height >= 2 {
        plan.heads = top(&mut inner, 1);
    }
    plan.rows = inner;
}

fn top(rest: &mut Rect, lines: u16) -> Rect {
    let lines = lines.min(rest.height);
    let taken = Rect { height: lines, ..*rest };
    rest.y += lines;
    rest.height -= lines;
    taken
}

fn bottom(rest: &mut Rect, lines: u16) -> Rect {
    let lines = lines.min(rest.height);
    rest.height -= lines;
    Rect { y: rest.y + rest.height, height: lines, ..*rest }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Facts = Facts { join: false, banner: true, details: false, events: true, zoom: None };

    #[test]
    fn the_sizes_of_the_sketches_have_the_rows_of_the_sketches() {
        for (width, height, rows, events) in
            [(120, 36, 20, 7), (80, 24, 12, 3), (50, 15, 12, 0), (28, 4, 2, 0), (16, 1, 0, 0)]
        {
            let plan = plan(width, height, OPEN);
            assert_eq!((plan.height(), plan.event_lines()), (rows, events), "{width}x{height}");
        }
        let join = Facts { join: true, banner: false, ..OPEN };
        assert_eq!(plan(80, 24, join).height(), 8);
        assert_eq!(plan(50, 15, join).height(), 9);
    }

    #[test]
    fn no_panel_leaves_the_screen_and_no_two_share_a_line_of_one_column() {
        for width in (0..200).step_by(7) {
            for height in 0..60 {
                for bits in 0..16 {
                    let facts = Facts {
                        join: bits & 1 > 0,
                        banner: bits & 2 > 0,
                        details: bits & 4 > 0,
                        events: bits & 8 > 0,
                        zoom: None,
                    };
                    let plan = plan(width, height, facts);
                    let panes = [plan.header, plan.banner, plan.card, plan.table, plan.details, plan.events];
                    let lines: u16 = panes.iter().map(|area| area.height).sum::<u16>() + plan.hints.height;
                    assert_eq!(lines, height, "{width}x{height} {facts:?}");
                }
            }
        }
    }
}
