//! The way to the mail server: TLS, login, and which troubles pass.

use quittance_mail::message::{Cover, build};
use quittance_mail::post::{SmtpServer, Trouble};
use quittance_mail::{Kind, Language, Templates, Writer, samples};

use super::smtp::{Mood, Server};

fn message() -> lettre::Message {
    let settings = samples::settings();
    let writer = Writer::new(Templates::built_in().unwrap(), settings.clone());
    let facts = samples::facts(Kind::Receipt, Language::Ja);
    let letter = writer.write(Kind::Receipt, Language::Ja, &facts).unwrap();
    let cover = Cover { to: "ada@example.com", name: None, message_id: "1@example.com", unsubscribe: None };
    build(&letter, &settings, cover, quittance_domain::Timestamp::from_seconds(1_796_029_200)).unwrap()
}

#[tokio::test]
async fn tls_is_used_and_the_certificate_checked() {
    for from_the_start in [true, false] {
        let (server, certificate) = Server::with_tls(from_the_start).await;
        let scheme = if from_the_start { "smtps" } else { "smtp" };
        let url = format!("{scheme}://billing:p%40ss@localhost:{}?tls=required", server.port);
        let stranger = SmtpServer::parse(&url, None, None).unwrap().open();
        let trouble = stranger.send(message()).await.unwrap_err();
        assert!(matches!(trouble, Trouble::Later(_)), "{trouble:?}");
        assert!(server.arrived().is_empty(), "nothing was said to a server that nobody vouches for");
        let smtp = SmtpServer::parse(&url, Some("billing.example.com"), Some(certificate.as_bytes()))
            .unwrap()
            .open();
        smtp.check().await.unwrap();
        smtp.send(message()).await.unwrap();
        let [mail] = server.arrived().try_into().unwrap();
        assert!(mail.tls);
        // base64 of "\0billing\0p@ss"
        assert_eq!(mail.login.as_deref(), Some("PLAIN AGJpbGxpbmcAcEBzcw=="));
    }
}

#[tokio::test]
async fn what_may_pass_is_told_from_what_never_will() {
    let server = Server::plain().await;
    let url = server.url().replace("//", "//user:hush@");
    let smtp = SmtpServer::parse(&url, None, None).unwrap().open();
    for (mood, passes, word) in [
        (Mood::Recipient("450 4.2.1 <ada@example.com> is busy"), true, "busy"),
        (Mood::Recipient("550 5.1.1 <ada@example.com> unknown"), false, "unknown"),
        (Mood::Message("451 4.3.0 try later"), true, "later"),
        (Mood::Message("554 5.7.1 refused"), false, "refused"),
        (Mood::Login("535 5.7.8 bad login"), true, "login"),
        (Mood::HangUp, true, ""),
    ] {
        // A connection of its own, so that each is logged in anew.
        let smtp = match mood {
            Mood::Login(_) => SmtpServer::parse(&url, None, None).unwrap().open(),
            _ => smtp.clone(),
        };
        server.expect(mood.clone());
        let (later, said) = match smtp.send(message()).await.unwrap_err() {
            Trouble::Later(said) => (true, said),
            Trouble::Never(said) => (false, said),
        };
        assert_eq!(later, passes, "{mood:?}: {said}");
        assert!(said.contains(word) && !said.contains("ada@") && !said.contains("hush"), "{mood:?}: {said}");
    }
    smtp.send(message()).await.unwrap();
    let gone = SmtpServer::parse("smtp://127.0.0.1:1", None, None).unwrap().open();
    assert!(matches!(gone.send(message()).await, Err(Trouble::Later(_))));
    assert!(gone.check().await.is_err());
}
