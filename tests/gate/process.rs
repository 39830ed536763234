//! The same with the real binary: files, signals, sockets.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;

use crate::process_common::{Daemon, Home, Nc};

const TOKENS: &str = "machines:join:token-of-a-machine\nwall:watch:token-of-a-wall\n";

/// Writes a file only its owner can read.
pub(crate) fn write(home: &Home, name: &str, text: &str) {
    let path = home.cwd().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Makes a pair for 127.0.0.1, and returns its pin.
#[cfg(feature = "tls")]
pub(crate) fn cert(home: &Home) -> String {
    let made = home.run("cert 127.0.0.1");
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let pin = made.stdout.lines().find_map(|line| line.strip_prefix("pin: "));
    pin.unwrap_or_else(|| panic!("{}", made.stdout)).to_owned()
}

#[test]
fn a_client_with_a_token_comes_in_and_one_with_a_wrong_one_ends_with_the_reason() {
    let home = Home::new();
    write(&home, "tokens", TOKENS);
    write(&home, "right", "token-of-a-machine\n");
    write(&home, "wrong", "token-of-nobody\n");
    let mut server = home.serve("--token-file tokens --json");
    let addr = server.addr();
    let mut client = home.join(addr, "--name one --token-file right");
    server.event("registered");
    let mut by_variable = Daemon::start(
        home.command(&format!("join {addr} --headless --name two"))
            .env("PRESENCE_TUI_TOKEN", "token-of-a-machine"),
    );
    server.event("registered");
    for flags in ["--token-file wrong", ""] {
        let mut refused = home.join(addr, &format!("--name three {flags}"));
        assert_eq!(refused.exit(), Some(1));
        let said = refused.transcript();
        assert!(said.contains("for good: auth") && said.contains("give the token"), "{said}");
        server.event("refused");
    }
    assert!(!server.transcript().contains("token-of"), "{}", server.transcript());
    for client in [&mut client, &mut by_variable] {
        assert_eq!(client.stop(Signal::TERM).0, Some(0));
        assert!(!client.transcript().contains("token-of"), "{}", client.transcript());
    }
    assert!(!home.log("serve").contains("token-of") && !home.log("join").contains("token-of"));
}

#[test]
fn a_token_file_with_a_mistake_stops_the_start_and_changes_nothing_later() {
    let home = Home::new();
    write(&home, "tokens", "machines:join:token-of-a-machine\nwall:wach:token-of-a-wall\n");
    let refused = home.run("serve --host 127.0.0.1 --port 0 --token-file tokens");
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.stderr.contains("tokens: line 2: ") && refused.stderr.contains("no role"),
        "{}",
        refused.stderr
    );
    assert_eq!(home.run("serve --host 127.0.0.1 --port 0 --token-file nowhere").code, Some(2));

    write(&home, "tokens", TOKENS);
    let mut server = home.serve("--token-file tokens");
    let enter = |token: &str| {
        let mut nc = Nc::connect(server.addr());
        nc.say(&format!(r#"{{"type":"register","v":1,"client_ip":"h","client_port":1,"token":"{token}"}}"#));
        nc.hear().unwrap()["type"].as_str().unwrap().to_owned()
    };
    assert_eq!(enter("token-of-a-machine"), "welcome");
    write(&home, "tokens", "machines:join:the-new-token\nhalf a li");
    server.signal(Signal::HUP);
    server.says("who may come in stays as it was: tokens: line 2");
    let enter = |token: &str| {
        let mut nc = Nc::connect(server.addr());
        nc.say(&format!(r#"{{"type":"register","v":1,"client_ip":"h","client_port":1,"token":"{token}"}}"#));
        nc.hear().unwrap()["type"].as_str().unwrap().to_owned()
    };
    assert_eq!((enter("token-of-a-machine"), enter("the-new-token")), ("welcome".into(), "error".into()));
    fs::write(home.cwd().join("tokens"), "machines:join:the-new-token\n").unwrap();
    fs::set_permissions(home.cwd().join("tokens"), fs::Permissions::from_mode(0o644)).unwrap();
    server.signal(Signal::HUP);
    server.says("tokens can be read by others");
    server.says("1 token lets clients in");
    let mut nc = Nc::connect(server.addr());
    nc.say(r#"{"type":"register","v":1,"client_ip":"h","client_port":1,"token":"token-of-a-machine"}"#);
    assert_eq!(nc.hear().unwrap()["code"], "auth");
}

#[test]
fn a_server_that_anyone_can_join_says_so_and_others_do_not() {
    let home = Home::new();
    write(&home, "tokens", TOKENS);
    let mut open = Daemon::start(&mut home.command("serve --headless --port 0"));
    open.says("open: anyone can join");
    for mut closed in [
        home.serve("--headless"),
        Daemon::start(&mut home.command("serve --headless --port 0 --token-file tokens")),
    ] {
        closed.says("config file");
        assert_eq!(closed.stop(Signal::TERM).0, Some(0));
        assert!(!closed.transcript().contains("anyone"), "{}", closed.transcript());
    }
}

#[cfg(feature = "tls")]
#[test]
fn a_certificate_is_made_for_its_owner_alone_and_never_over_another() {
    let home = Home::new();
    let pin = cert(&home);
    let mode = |name: &str| fs::metadata(home.cwd().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("127.0.0.1.key"), 0o600);
    let before = fs::read(home.cwd().join("127.0.0.1.key")).unwrap();
    let again = home.run("cert 127.0.0.1");
    assert!(again.code == Some(1) && again.stderr.contains("--force"), "{}", again.stderr);
    assert_eq!(fs::read(home.cwd().join("127.0.0.1.key")).unwrap(), before);
    let forced = home.run("cert 127.0.0.1 --force");
    assert!(forced.code == Some(0) && !forced.stdout.contains(&pin), "{}", forced.stdout);
    assert_eq!(mode("127.0.0.1.key"), 0o600);
    assert_eq!(home.run("cert not/a/host").code, Some(1));
    let elsewhere = home.run("cert ::1 hq.lab --out deep/down");
    assert!(elsewhere.stdout.contains("deep/down/__1.crt"), "{} {}", elsewhere.stdout, elsewhere.stderr);
}

#[cfg(feature = "tls")]
#[test]
fn a_client_joins_over_tls_with_its_pin_or_its_ca_and_goes_on_after_new_certificates() {
    let home = Home::new();
    let pin = cert(&home);
    write(&home, "tokens", TOKENS);
    write(&home, "token", "token-of-a-wall\n");
    let tls = "--tls-cert 127.0.0.1.crt --tls-key 127.0.0.1.key --token-file tokens";
    let mut server = home.serve(&format!("{tls} --json"));
    let secret = format!("tls://{}", server.addr());
    let join = |flags: &str| {
        let line = format!("join {secret} --headless --token-file token {flags}");
        Daemon::start(&mut home.command(&line))
    };
    let mut pinned = join(&format!("--name pinned --pin {pin}"));
    server.event("registered");
    let mut trusting = join("--name trusting --ca 127.0.0.1.crt");
    server.event("registered");
    let mut deceived = join(&format!("--name deceived --pin sha256/{}", "0".repeat(64)));
    deceived.says("not the pinned one");
    assert!(deceived.runs(), "it may be the right one again: it comes back");
    let mut careful = join("--name careful");
    careful.says("no TLS with 127.0.0.1");

    assert_eq!(home.run("cert 127.0.0.1 --force").code, Some(0));
    server.signal(Signal::HUP);
    server.says("2 tokens let clients in, TLS is spoken");
    let mut trusting_the_new = join("--name new --ca 127.0.0.1.crt");
    server.event("registered");
    for client in [&mut pinned, &mut trusting, &mut trusting_the_new] {
        assert_eq!(client.stop(Signal::TERM).0, Some(0), "{}", client.transcript());
    }
    assert_eq!(home.run(&format!("join {} --headless --pin {pin}", server.addr())).code, Some(2));
}

#[cfg(feature = "tls")]
#[test]
fn certificates_that_make_no_sense_stop_the_start_with_their_name() {
    let home = Home::new();
    cert(&home);
    assert_eq!(home.run("cert other").code, Some(0));
    let serve = |flags: &str| home.run(&format!("serve --host 127.0.0.1 --port 0 {flags}"));
    for (flags, words) in [
        ("--tls-cert 127.0.0.1.crt", "security.tls_key"),
        ("--tls-key 127.0.0.1.key", "security.tls_cert"),
        ("--client-ca 127.0.0.1.crt", "security.client_ca needs"),
        ("--require-tls true", "security.require_tls needs"),
        ("--tls-cert 127.0.0.1.crt --tls-key other.key", "not that of the certificate"),
        ("--tls-cert 127.0.0.1.key --tls-key 127.0.0.1.key", "tls_cert: there is no certificate"),
        ("--tls-cert 127.0.0.1.crt --tls-key 127.0.0.1.crt", "tls_key: there is no private key"),
        ("--tls-cert nowhere --tls-key 127.0.0.1.key", "could not read nowhere"),
    ] {
        let ran = serve(flags);
        assert_eq!(ran.code, Some(2), "{flags}");
        assert!(ran.stderr.contains(words), "{flags}: {}", ran.stderr);
        assert!(!ran.stderr.contains("PRIVATE KEY-----\n"), "{}", ran.stderr);
    }
}
