//! Writing to clients, what became of it, and what somebody wrote to this one.

use std::sync::Arc;
use std::time::Duration;

use presence_tui::presence::command::Command;
use presence_tui::presence::notify::{Notification, Posted, Reach, Tally, Target};
use presence_tui::presence::view::{Letter, Link, Uplink, View};
use presence_tui::presence::{RowKey, State};
use presence_tui::tui::model::{Face, Model};
use presence_tui::tui::update::{Effect, Msg, update};

use super::fleet::{DARK, ago, foreign, join, lost, mixed, press, serve, uplink};
use super::frames::{check, frame, text};
use super::keys::{answer, commands, server, shown, wait};

const SIZES: [(u16, u16); 4] = [(120, 36), (80, 24), (50, 15), (28, 4)];

/// The usual fleet, in which `agent-alpha` is a device of ada's.
fn people() -> View {
    let mut view = mixed();
    view.rows[3].user = Some("ada".into());
    view
}

fn reach(to: Target, here: usize, deaf: usize, gone: usize) -> View {
    View { reach: Some(Reach { to, here, deaf, gone }), ..people() }
}

fn typed(model: &mut Model, words: &str) -> Vec<Effect> {
    let at = model.now;
    update(model, at, Msg::Paste(words.to_owned()))
}

fn letter(title: &str, body: &str) -> Letter {
    Letter { from: "hq".into(), title: title.into(), body: body.into() }
}

fn told(letters: &[Letter]) -> Uplink {
    let letters =
        letters.iter().zip(1_u8..).map(|(letter, n)| (ago(90.0 - f64::from(n)), Arc::new(letter.clone())));
    Uplink { letters: letters.collect(), ..uplink() }
}

fn reader(letters: &[Letter], size: (u16, u16)) -> Model {
    join(told(letters), mixed(), size, DARK)
}

#[test]
fn a_message_is_written_to_whom_the_dialog_says() {
    for size in SIZES {
        let mut model = serve(people(), size, DARK);
        press(&mut model, "j j j j w");
        answer(&mut model, reach(Target::Row(RowKey(4)), 1, 0, 0));
        typed(&mut model, "reboot at 5");
        check("dialog_write", &model);
        press(&mut model, "tab tab");
        answer(&mut model, reach(Target::All, 12, 1, 4));
        typed(&mut model, ", then again and again until it is so long that it has to be scrolled");
        check("dialog_write_all", &model);
    }
}

#[test]
fn tab_goes_through_the_row_its_user_those_shown_and_everybody() {
    let mut model = server();
    answer(&mut model, people());
    press(&mut model, "j j j j / a g e n t enter");
    let asked = shown(&press(&mut model, "w")).unwrap();
    assert_eq!(asked.writing_to.map(|to| *to), Some(Target::Row(RowKey(4))));
    let agents = Target::Shown { filter: "agent".to_owned(), states: vec![], user: None };
    for next in [Target::User("ada".into()), agents.clone(), Target::All, Target::Row(RowKey(4))] {
        assert_eq!(shown(&press(&mut model, "tab")).unwrap().writing_to.map(|to| *to), Some(next));
    }
    press(&mut model, "shift-tab shift-tab");
    assert_eq!(model.window().writing_to.map(|to| *to), Some(agents.clone()));
    assert_eq!(commands(press(&mut model, "enter")), [], "nothing is not sent");
    let sent = press(&mut model, "h i enter");
    assert_eq!(shown(&sent).unwrap().writing_to, None, "nobody asks any more");
    let hi = |to| Command::Notify(Notification { to, title: "".into(), body: "hi".into() });
    assert_eq!(commands(sent), [hi(agents)]);

    // Without a selection it is for those shown, without a filter for everybody.
    let mut model = server();
    assert_eq!(*shown(&press(&mut model, "3 w")).unwrap().writing_to.unwrap(), {
        Target::Shown { filter: String::new(), states: vec![State::TimedOut], user: None }
    });
    let mut model = server();
    assert_eq!(commands(press(&mut model, "w h i enter")), [hi(Target::All)]);
    assert_eq!(commands(press(&mut model, "w h i esc")), []);
}

#[test]
fn an_answer_about_others_is_not_shown_and_rows_that_move_do_not_change_the_target() {
    let mut model = server();
    press(&mut model, "j j j j w");
    answer(&mut model, reach(Target::All, 12, 0, 0));
    assert!(text(&frame(&model)).contains("counting whom that reaches"));
    answer(&mut model, reach(Target::Row(RowKey(4)), 1, 0, 0));
    assert!(model.dirty && text(&frame(&model)).contains("Reaches 1 client."));
    let mut gone = reach(Target::Row(RowKey(4)), 0, 0, 1);
    gone.rows.remove(3);
    answer(&mut model, gone);
    assert!(text(&frame(&model)).contains("Reaches nobody; 1 is gone."));
    let Some(Command::Notify(sent)) = commands(press(&mut model, "x enter")).pop() else { panic!() };
    assert_eq!(sent.to, Target::Row(RowKey(4)));
}

#[test]
fn a_screen_that_may_only_look_writes_to_nobody() {
    let mut model = server();
    if let Face::Serve { read_only, .. } = &mut model.face {
        *read_only = true;
    }
    press(&mut model, "w");
    assert!(model.dialog.is_none() && text(&frame(&model)).contains("w: this screen is read-only"));
}

#[test]
fn what_became_of_it_is_counted_in_the_last_line() {
    let tally = Tally { targets: 5, delivered: 3, offline: 1, ..Tally::default() };
    let posted =
        |number, subject: &str, tally| Posted { number, from: "hq".into(), subject: subject.into(), tally };
    let moving = View { posted: vec![posted(17, "reboot at 5", tally)], ..mixed() };
    for size in SIZES {
        check("serve_posted", &serve(moving.clone(), size, DARK));
    }
    let mut model = server();
    answer(&mut model, moving);
    assert!(model.dirty);
    let last = |model: &Model| text(&frame(model)).lines().last().unwrap().trim().to_owned();
    assert_eq!(last(&model), "n17 \"reboot at 5\": 3/5 delivered, 1 offline, 1 pending");
    let tally = Tally { delivered: 4, ..tally };
    let both =
        vec![posted(17, "reboot at 5", tally), posted(18, "x", Tally { targets: 2, ..Tally::default() })];
    answer(&mut model, View { posted: both, ..mixed() });
    assert_eq!(last(&model), "n18 \"x\": 0/2 delivered, 2 pending");
    answer(&mut model, mixed());
    assert!(last(&model).starts_with("? help"), "{}", last(&model));
}

#[test]
fn a_toast_stays_until_it_is_read_and_several_queue() {
    let long = "the quick brown fox jumps over the lazy dog ".repeat(6);
    for size in [(120, 36), (80, 24), (50, 15), (28, 4), (16, 1)] {
        check("join_toast", &reader(&[letter("", "reboot at 5")], size));
        check("join_toasts", &reader(&[letter("Deploy", &long), letter("", "two")], size));
    }
    let mut model = reader(&[letter("", "one"), letter("", "two")], (80, 24));
    wait(&mut model, 3_600.0);
    assert!(text(&frame(&model)).contains(" 2 MESSAGES  one"));
    assert_eq!(commands(press(&mut model, "a")), [Command::Read { all: false }]);
    assert_eq!(commands(press(&mut model, "A")), [Command::Read { all: true }, Command::Acknowledge(None)]);
    // Without one, the same keys are about departures.
    let mut model = reader(&[], (80, 24));
    assert!(matches!(commands(press(&mut model, "a"))[..], [Command::Acknowledge(Some(_))]));
    assert_eq!(commands(press(&mut model, "A")), [Command::Acknowledge(None)]);
}

#[test]
fn a_toast_rings_once_and_may_be_opened_in_full() {
    let mut model = join(uplink(), mixed(), (80, 24), DARK);
    model.bell.enabled = true;
    let one = told(&[letter("Deploy", "one")]);
    let at = model.now;
    let rung = update(&mut model, at, Msg::Uplink(Arc::new(one.clone())));
    assert!(rung.contains(&Effect::Bell) && model.dirty);
    assert!(!update(&mut model, at, Msg::Uplink(Arc::new(one))).contains(&Effect::Bell));
    press(&mut model, "o");
    assert_eq!(commands(press(&mut model, "esc")), [], "later");
    press(&mut model, "o");
    assert_eq!(commands(press(&mut model, "enter")), [Command::Read { all: false }]);
    assert!(model.dialog.is_none());
    for size in SIZES {
        let mut model = reader(&[letter("Deploy", &"all of hall B restarts at five; ".repeat(9))], size);
        press(&mut model, "o");
        check("dialog_letter", &model);
    }
    let mut model = join(uplink(), mixed(), (80, 24), DARK);
    press(&mut model, "o");
    assert!(text(&frame(&model)).contains("o: no message waits to be read"));
}

#[test]
fn chat_is_typed_and_said_with_its_time() {
    for size in SIZES {
        let mut model = join(uplink(), mixed(), size, DARK);
        press(&mut model, "w l u n c h ?");
        check("dialog_chat", &model);
    }
    let mut model = join(uplink(), mixed(), (80, 24), DARK);
    let said = commands(press(&mut model, "w l u n c h ? enter"));
    assert_eq!(said, [Command::Say { words: "lunch?".into(), at: Duration::from_secs(1_795_270_927) }]);
    assert_eq!(commands(press(&mut model, "w enter")), [], "nothing is not said");
    let held = Uplink { holding: true, ..uplink() };
    let raw = foreign(presence_tui::presence::view::Transport::RawTcp, false);
    let ended = Uplink { link: Link::Ended("left".to_owned()), ..uplink() };
    for (uplink, why) in
        [(lost(), "no connection"), (held, "held back"), (raw, "knows no chat"), (ended, "no connection")]
    {
        let mut model = join(uplink, mixed(), (120, 36), DARK);
        press(&mut model, "w");
        assert!(model.dialog.is_none() && text(&frame(&model)).contains(why), "{why}");
    }
}

#[test]
fn what_is_written_is_bounded_and_of_one_line() {
    let mut model = server();
    press(&mut model, "w");
    typed(&mut model, &"日本\n".repeat(500));
    let Some(Command::Notify(sent)) = commands(press(&mut model, "enter")).pop() else { panic!() };
    assert!(sent.body.chars().count() <= 256 && sent.body.len() <= 1_024 && !sent.body.contains('\n'));
}
