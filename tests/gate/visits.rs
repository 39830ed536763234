//! `notify` and `status` towards a server that asks who comes: a script has a token, or is told what it lacks.

use std::net::SocketAddr;

use crate::process::write;
use crate::process_common::{Daemon, Home, Nc, Ran};

const TOKENS: &str =
    "machines:join:token-of-a-machine\nwall:watch:token-of-a-wall\nops:notify:token-of-ops\n";

/// A server with tokens, and a file for each of them and for a wrong one.
fn guarded(flags: &str) -> (Home, Daemon) {
    let home = Home::new();
    write(&home, "tokens", TOKENS);
    for (name, token) in [
        ("machine", "token-of-a-machine\n"),
        ("wall", "token-of-a-wall"),
        ("ops", "token-of-ops\n"),
        ("wrong", "token-of-nobody\n"),
    ] {
        write(&home, name, token);
    }
    let server = home.serve(&format!("--token-file tokens {flags}"));
    (home, server)
}

/// A client that confirms nothing and is there.
fn machine(addr: SocketAddr) -> Nc {
    Nc::v1(addr, r#""id":"m","user":"ada","token":"token-of-a-machine","#)
}

fn refused(ran: &Ran, words: &[&str]) {
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{}", ran.stderr);
    for words in words {
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("token-of"), "{}", ran.stderr);
}

#[test]
fn status_shows_its_token_and_says_which_one_is_needed() {
    let (home, server) = guarded("");
    let addr = server.addr();
    let status = |flags: &str| home.run(&format!("status {addr} {flags}"));
    for role in ["wall", "ops"] {
        let ran = status(&format!("--token-file {role}"));
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{role}");
        assert!(ran.stdout.starts_with(&format!("{addr}: 0 of ")), "{}", ran.stdout);
    }
    let place = format!("{addr}: refused with status ");
    refused(&status(""), &[&place, "401", "none was given", "role watch", "--token-file FILE"]);
    refused(&status("--token-file wrong"), &[&place, "401", "none of the server's tokens", "role watch"]);
    refused(&status("--token-file machine"), &[&place, "403", "role watch may ask"]);

    for (variable, value) in [("PRESENCE_TUI_TOKEN", "token-of-a-wall"), ("PRESENCE_TUI_TOKEN_FILE", "wall")]
    {
        let ran = Ran::of(home.command(&format!("status {addr}")).env(variable, value));
        assert_eq!(ran.code, Some(0), "{variable}: {}", ran.stderr);
    }
    // A flag beats the variable.
    let mut both = home.command(&format!("status {addr} --token-file wrong"));
    refused(&Ran::of(both.env("PRESENCE_TUI_TOKEN", "token-of-a-wall")), &["401"]);
}

#[test]
fn a_token_is_not_shown_to_whatever_answers_on_this_machine() {
    let home = Home::new();
    write(&home, "wall", "token-of-a-wall");
    let ran = home.run("status --token-file wall");
    assert!(ran.code == Some(2) && ran.stderr.contains("needs the server's address"), "{}", ran.stderr);
    let ran = home.run("status --pin nonsense");
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
}

#[test]
fn notify_shows_its_token_and_says_which_one_is_needed() {
    let (home, server) = guarded("");
    let addr = server.addr();
    let mut there = machine(addr);
    let notify = |flags: &str| home.run(&format!("notify --server {addr} --to user=ada {flags} hello"));
    let place = format!("{addr} refused it: ");
    refused(&notify(""), &[&place, "auth", "none was given", "role notify", "--token-file FILE"]);
    refused(&notify("--token-file wrong"), &[&place, "auth", "none of the server's tokens", "role notify"]);
    for role in ["machine", "wall"] {
        let ran = notify(&format!("--token-file {role}"));
        refused(&ran, &[&place, "forbidden", "role notify"]);
    }
    for variable in [None, Some(("PRESENCE_TUI_TOKEN", "token-of-ops"))] {
        let flags = if variable.is_none() { "--token-file ops" } else { "" };
        let mut command = home.command(&format!("notify --server {addr} --to user=ada {flags} hello"));
        command.envs(variable);
        let script = std::thread::spawn(move || Ran::of(&mut command));
        let heard = there.hears("notify");
        assert_eq!(heard["body"], "hello");
        there.say(&format!(r#"{{"type":"receipt","nid":{}}}"#, heard["nid"]));
        let ran = script.join().unwrap();
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        assert!(ran.stdout.ends_with(": 1/1 delivered\n"), "{}", ran.stdout);
    }
}

#[test]
fn no_config_file_keeps_a_script_from_its_server_and_a_bad_token_file_is_named() {
    let (home, server) = guarded("");
    let addr = server.addr();
    home.config("[client]\ntoken_file = \"wrong\"\nnonsense = 1\n");
    assert_eq!(home.run(&format!("status {addr} --token-file wall")).code, Some(0));
    for command in [format!("status {addr}"), format!("notify --server {addr} --to all hello")] {
        for (file, words) in [("nowhere", "could not read nowhere"), ("tokens", "tokens is no token")] {
            let ran = home.run(&format!("{command} --token-file {file}"));
            assert!(ran.code == Some(2) && ran.stderr.contains(words), "{}", ran.stderr);
        }
        let ran = home.run(&format!("{command} --pin sha256/{}", "0".repeat(64)));
        assert!(ran.code == Some(2) && ran.stderr.contains("tls://"), "{}", ran.stderr);
    }
    std::fs::set_permissions(home.cwd().join("wall"), std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .unwrap();
    let ran = home.run(&format!("status {addr} --token-file wall"));
    assert_eq!(ran.code, Some(0));
    assert!(ran.stderr.contains("wall can be read by others"), "{}", ran.stderr);
}

#[cfg(feature = "tls")]
#[test]
fn both_go_over_tls_by_pin_or_by_ca_and_to_nobody_else() {
    let made = Home::new();
    let pin = crate::process::cert(&made);
    let pair = made.cwd().join("127.0.0.1");
    let (crt, key) = (format!("{}.crt", pair.display()), format!("{}.key", pair.display()));
    let (home, server) = guarded(&format!("--tls-cert {crt} --tls-key {key} --require-tls true"));
    let addr = server.addr();
    let (status, notify) =
        (format!("status tls://{addr}"), format!("notify --server tls://{addr} --to all hello"));
    for trust in [format!("--pin {pin}"), format!("--ca {crt}")] {
        let ran = home.run(&format!("{status} --token-file wall {trust}"));
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        assert!(ran.stdout.starts_with(&format!("tls://{addr}: 0 of ")), "{}", ran.stdout);
        let ran = home.run(&format!("{notify} --token-file ops {trust}"));
        assert_eq!((ran.code, ran.stdout.contains("nobody to tell")), (Some(5), true), "{}", ran.stderr);
        refused(&home.run(&format!("{notify} --token-file wall {trust}")), &["forbidden", "role notify"]);
    }
    for trust in [format!("--pin sha256/{}", "0".repeat(64)), String::new()] {
        for line in [&status, &notify] {
            refused(&home.run(&format!("{line} --token-file ops {trust}")), &["no TLS with 127.0.0.1"]);
        }
    }
    for line in [&status, &notify] {
        let plain = line.replace("tls://", "");
        refused(&home.run(&format!("{plain} --token-file ops")), &["TLS alone", "tls://"]);
    }
}
