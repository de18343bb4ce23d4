//! `quittance sandbox --data FILE`: what was there is there again.

use std::path::Path;

use crate::house::{Client, Process, eventually, quittance, run};

fn start(folder: &Path) -> Process {
    Process::start(&mut quittance(folder, &["sandbox", "--port", "0", "--data", "state.json", "--json"]))
}

fn client(process: &Process) -> Client {
    Client::new(&process.field("url"), "sk_test_1")
}

#[test]
fn the_state_outlives_its_process_however_that_ends() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(folder.path());
    let account = client(&first).get("/v1/account")["id"].clone();
    let ada = client(&first).form("/v1/customers", "name=Ada")["id"].clone();
    assert!(first.interrupt().0.success());
    let second = start(folder.path());
    assert_eq!(client(&second).get("/v1/account")["id"], account, "the same account");
    assert_eq!(client(&second).get("/v1/customers")["data"][0]["id"], ada);
    let (code, _, err) =
        run(&mut quittance(folder.path(), &["sandbox", "--port", "0", "--data", "state.json"]));
    assert!(code == 1 && err.contains("Another sandbox"), "{err}");
    let bea = client(&second).form("/v1/customers", "name=Bea")["id"].clone();
    eventually("the change is written while it runs", || {
        std::fs::read_to_string(folder.path().join("state.json")).unwrap().contains("Bea").then_some(())
    });
    second.kill_9();
    let third = start(folder.path());
    assert_eq!(client(&third).get("/v1/customers")["data"][0]["id"], bea);
    assert!(third.interrupt().0.success());
}

#[test]
fn a_file_that_holds_something_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    for text in ["not JSON", r#"{"format":1,"world":{}}"#] {
        std::fs::write(&path, text).unwrap();
        let (code, _, err) =
            run(&mut quittance(folder.path(), &["sandbox", "--port", "0", "--data", "state.json"]));
        assert!(code == 1 && err.contains("no state that can be loaded"), "{err}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
    let (code, _, err) =
        run(&mut quittance(folder.path(), &["sandbox", "--port", "0", "--data", "none/state.json"]));
    assert!(code == 1 && err.contains("--data"), "{err}");
}
