//! New settings are asked about before they are sent: whom would they put at risk?

use presence_tui::presence::Settings;
use presence_tui::presence::command::Command;
use presence_tui::presence::event::Origin;
use presence_tui::presence::trust::Outlook;
use presence_tui::presence::view::View;
use presence_tui::tui::update::Effect;
use presence_tui::tui::update::settings::RISKY_QUIET;

use super::fleet::{DARK, mixed, press, secs, serve};
use super::frames::{frame, text};
use super::keys::{answer, commands, server, shown, wait};

fn previewed(effects: &[Effect]) -> Option<Settings> {
    shown(effects).unwrap().preview
}

fn of(interval: f64, timeout: f64) -> Settings {
    Settings::new(secs(interval), secs(timeout)).unwrap()
}

fn outlook(settings: Settings, at_risk: usize) -> View {
    let names = vec!["cam-gate".into(); at_risk.min(5)];
    View { outlook: Some(Outlook { settings, at_risk, names, pinned: 0 }), ..mixed() }
}

#[test]
fn what_is_typed_is_asked_about_while_it_may_be_applied_and_differs() {
    let mut model = server();
    press(&mut model, "t");
    assert_eq!(previewed(&press(&mut model, "9")), Some(of(5.0, 9.0)));
    assert_eq!(previewed(&press(&mut model, "0")), Some(of(5.0, 90.0)));
    assert_eq!(previewed(&press(&mut model, "x")), None, "nonsense is no question");
    assert_eq!(previewed(&press(&mut model, "backspace")), Some(of(5.0, 90.0)));
    assert_eq!(previewed(&press(&mut model, "backspace backspace 3")), None, "not above the interval");
    assert_eq!(previewed(&press(&mut model, "0")), Some(of(5.0, 30.0)));
    assert_eq!(previewed(&press(&mut model, "esc")), None, "nobody thinks about it any more");
    press(&mut model, "t 1 5");
    assert_eq!(model.asked.clone().unwrap().preview, None, "that is in force already");
    assert_eq!(previewed(&press(&mut model, "backspace 8")), Some(of(5.0, 18.0)));
    let sent = press(&mut model, "enter");
    assert_eq!(previewed(&sent), None);
    assert_eq!(commands(sent), [Command::Set(of(5.0, 18.0), Origin::Prompt)]);
}

#[test]
fn an_answer_to_another_question_is_not_shown() {
    let mut model = server();
    press(&mut model, "t 9 s");
    answer(&mut model, outlook(of(5.0, 9.0), 3));
    assert!(model.dirty, "an answer is drawn");
    assert!(text(&frame(&model)).contains("would put 3 clients at risk: cam-gate"));
    press(&mut model, "backspace backspace 8 s");
    assert!(!text(&frame(&model)).contains("at risk"), "8 s is another question");
}

#[test]
fn a_harmless_step_is_asked_about_and_not_slowed_down() {
    let mut model = server();
    assert_eq!(previewed(&press(&mut model, "[")), Some(of(5.0, 10.0)));
    answer(&mut model, outlook(of(5.0, 10.0), 0));
    let sent = wait(&mut model, 0.4);
    assert_eq!(previewed(&sent), None);
    assert_eq!(commands(sent), [Command::Set(of(5.0, 10.0), Origin::Key)]);
}

#[test]
fn a_step_nobody_answers_for_is_not_slowed_down() {
    let mut model = server();
    press(&mut model, "[");
    assert_eq!(commands(wait(&mut model, 0.4)), [Command::Set(of(5.0, 10.0), Origin::Key)]);
}

#[test]
fn a_step_that_puts_somebody_at_risk_says_who_and_can_be_taken_back() {
    let risky = || {
        let mut model = server();
        press(&mut model, "[");
        answer(&mut model, outlook(of(5.0, 10.0), 1));
        assert!(text(&frame(&model)).contains("! 1 client at risk: cam-gate   u takes the change back"));
        assert_eq!(commands(wait(&mut model, 0.4)), [], "there is time to read it");
        model
    };
    let mut model = risky();
    let sent = wait(&mut model, RISKY_QUIET.as_secs_f64() - 0.4);
    assert_eq!(commands(sent), [Command::Set(of(5.0, 10.0), Origin::Key)]);
    assert!(!text(&frame(&model)).contains("at risk"), "once it is sent there is nothing left to take back");
    let mut model = risky();
    let taken = press(&mut model, "u");
    assert_eq!(previewed(&taken), None);
    assert_eq!(commands(taken), []);
    assert_eq!(commands(wait(&mut model, 9.0)), []);
}

#[test]
fn steps_start_from_what_was_asked_for_and_not_from_what_the_load_made_of_it() {
    let loaded = || View { settings: of(10.0, 30.0), ..mixed() };
    let mut model = serve(loaded(), (120, 36), DARK);
    press(&mut model, "]");
    assert_eq!(model.wanted(), of(5.0, 20.0));
    assert_eq!(commands(wait(&mut model, 0.4)), [Command::Set(of(5.0, 20.0), Origin::Key)]);
    answer(&mut model, View { asked: of(5.0, 20.0), ..loaded() });
    assert_eq!(model.change.sent, None, "what was asked for has changed, so the change was answered");
    assert!(text(&frame(&model)).contains("timeout 30.0s (asked 5.0s/20.0s: load)"));
    press(&mut model, "t up");
    assert!(text(&frame(&model)).contains("[ 30s"), "one step above the 20 s asked for");
    press(&mut model, "esc u");
    assert_eq!(model.wanted(), of(5.0, 15.0));
}
