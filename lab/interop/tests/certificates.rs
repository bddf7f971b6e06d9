//! Certificate files: those of pyzmq and czmq are read here, and those that are written here are read by pyzmq.

use std::fs;

use oncue::curve::{self, Certificate, CertificateError, KeyError, PublicKey, SecretKey};
use oncue_interop::directory::Directory;
use oncue_interop::foreign::Foreign;
use oncue_interop::within_a_minute;

/// Two keys as text; they are no pair.
const PUBLIC: &str = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";
const SECRET: &str = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs";

#[test]
fn certificates_of_pyzmq_are_read_here() {
    within_a_minute(|| {
        let directory = Directory::new();
        let mut pyzmq = Foreign::new("PUB");
        let (public_path, secret_path) = pyzmq.create_certificate(&directory.path(""), "server");
        let text = |path: &str| fs::read_to_string(path).expect("the file");
        let public = Certificate::parse(&text(&public_path)).expect("a certificate");
        assert!(public.secret.is_none() && public.pair().is_none());
        let secret = Certificate::parse(&text(&secret_path)).expect("a certificate");
        assert_eq!(secret.public, public.public);
        assert_eq!(secret.pair().expect("both keys").public(), &public.public);
        // It writes the properties into the secret file alone.
        assert_eq!(secret.metadata, [("name".to_owned(), "a name".to_owned())]);
        assert_eq!(public.metadata, []);
    });
}

#[test]
fn certificates_that_are_written_here_are_read_by_pyzmq() {
    within_a_minute(|| {
        let directory = Directory::new();
        let mut pyzmq = Foreign::new("PUB");
        let keys = curve::generate();
        let certificate = Certificate {
            public: *keys.public(),
            secret: Some(keys.secret().clone()),
            metadata: vec![("name".to_owned(), "a name".to_owned())],
        };
        let public = directory.write("server.key", &certificate.write("2026-01-01 by a test", false));
        let secret = directory.write("server.key_secret", &certificate.write("2026-01-01 by a test", true));
        assert_eq!(pyzmq.load_certificate(&public), (keys.public().to_string(), String::new()));
        let both = (keys.public().to_string(), keys.secret().to_z85().to_string());
        assert_eq!(pyzmq.load_certificate(&secret), both);
    });
}

/// What czmq 4.2.1 wrote: the properties in both files, and quoted.
const OF_CZMQ: &str = r#"#   ****  Generated on 2026-11-28 14:36:32 by CZMQ  ****
#   ZeroMQ CURVE Public Certificate
#   Exchange securely, or use a secure mechanism to verify the contents
#   of this file after exchange. Store public certificates in your home
#   directory, in the .curve subdirectory.

metadata
    name = "Ann"
    email = "ann@example.org"
curve
    public-key = "*21EaZCu1ga9((uCSU}?0CnvElACPN^mi?e-T#H4"
"#;
const SECRET_OF_CZMQ: &str = r#"#   ****  Generated on 2026-11-28 14:36:32 by CZMQ  ****
#   ZeroMQ CURVE **Secret** Certificate
#   DO NOT PROVIDE THIS FILE TO OTHER USERS nor change its permissions.

metadata
    name = "Ann"
    email = "ann@example.org"
curve
    public-key = "*21EaZCu1ga9((uCSU}?0CnvElACPN^mi?e-T#H4"
    secret-key = "!894UH]H.Nh{!g!sDRWV>Ng2HfBlxbx3C>Tj)6/1"
"#;

#[test]
fn certificates_of_czmq_are_read_here_and_by_pyzmq() {
    within_a_minute(|| {
        let directory = Directory::new();
        let mut pyzmq = Foreign::new("PUB");
        for (text, with_secret) in [(OF_CZMQ, false), (SECRET_OF_CZMQ, true)] {
            let certificate = Certificate::parse(text).expect("a certificate");
            let public = certificate.public.to_string();
            assert_eq!(public, "*21EaZCu1ga9((uCSU}?0CnvElACPN^mi?e-T#H4");
            assert_eq!(certificate.secret.is_some(), with_secret);
            let properties = [("name", "Ann"), ("email", "ann@example.org")];
            assert_eq!(
                certificate.metadata,
                properties.map(|(name, value)| (name.to_owned(), value.to_owned()))
            );
            let path = directory.write(if with_secret { "a.key_secret" } else { "a.key" }, text);
            assert_eq!(pyzmq.load_certificate(&path).0, public);
        }
    });
}

#[test]
fn what_a_hand_changes_in_a_certificate_is_read_or_named() {
    let read = |text: &str| Certificate::parse(text).map(|certificate| certificate.public.to_string());
    let public = PUBLIC.to_owned();
    // Each of these is read by pyzmq or by czmq as well.
    for text in [
        format!("curve\r\n    public-key = \"{PUBLIC}\"\r\n"),
        format!("curve\n    public-key = {PUBLIC}\n"),
        format!("curve\n    public-key=\"{PUBLIC}\"\n"),
        format!("public-key = \"{PUBLIC}\"\n"),
        format!("curve\n    public-key = \"{PUBLIC}\" # a comment\n"),
        format!("curve\n    public-key = '{PUBLIC}'\n"),
    ] {
        assert_eq!(read(&text), Ok(public.clone()), "{text}");
    }
    for (text, fault) in [
        ("metadata\ncurve\n", "there is no `public-key` in a section `curve`"),
        (
            "curve\n  public-key = \"abc\"\n",
            "`public-key` in line 2: a key has 40 characters (Z85), this text has 3",
        ),
    ] {
        assert_eq!(read(text).unwrap_err().to_string(), fault);
    }
    let other = curve::generate().secret().to_z85().to_string();
    let text = format!("curve\n  public-key = \"{PUBLIC}\"\n  secret-key = \"{other}\"\n");
    assert_eq!(read(&text).unwrap_err(), CertificateError::NoPair);
}

#[test]
fn a_key_is_40_characters_and_nothing_else_as_in_libzmq() {
    assert!(PUBLIC.parse::<PublicKey>().is_ok() && SECRET.parse::<SecretKey>().is_ok());
    for (text, chars) in [
        (format!("{PUBLIC}\n"), 41),
        (format!("{PUBLIC}\r\n"), 42),
        (format!("{PUBLIC} "), 41),
        (format!("{PUBLIC}\0"), 41),
        (PUBLIC[..39].to_owned(), 39),
        (String::new(), 0),
    ] {
        assert_eq!(text.parse::<PublicKey>(), Err(KeyError::Length(chars)));
    }
}
