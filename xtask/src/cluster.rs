//! A PostgreSQL of our own, for one run: a temporary directory, a free loopback port, an unprivileged user.
//!
//! PostgreSQL refuses to run as root, so as root we become `postgres`, or else `nobody`. The server dies with us even
//! when we are killed (parent-death signal), where `setpriv` offers it. It offers TLS, with a certificate made for this run.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::clock::poll;
use crate::interrupt::{self, Group, output};
use crate::packages::install_postgres;
use crate::programs::{User, find, is_root, user};
use crate::scratch;

/// How much a crash of the machine may lose.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Nothing: every commit waits for the disk. For benchmarks.
    Full,
    /// Everything: no commit waits. For tests, whose databases live for minutes.
    None,
}

/// How a server ends that is to be started again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// It rolls back what is open, hangs up on everybody and writes everything down.
    Fast,
    /// It drops everything; the next start recovers from the log, as after a crash.
    Immediate,
}

/// A running server; dropped, it stops and its files go.
pub struct Cluster {
    // Before the directory: fields drop in this order, and the server must end before its files go.
    server: Group,
    port: u16,
    binaries: PathBuf,
    account: Account,
    durability: Durability,
    directory: TempDir,
}

impl Cluster {
    /// Creates and starts a server, and waits until it takes connections.
    pub fn start(durability: Durability) -> Result<Self> {
        let binaries = binaries()?;
        let account = Account::choose()?;
        let parent = match durability {
            Durability::Full => std::env::temp_dir(),
            Durability::None => scratch::parent(),
        };
        let directory = tempfile::Builder::new().prefix("quittance-postgres-").tempdir_in(parent)?;
        if let Some(user) = account.becomes {
            chown(directory.path(), Some(user.uid), Some(user.gid))
                .context("the temporary directory could not be given to the unprivileged user")?;
        }
        certify(directory.path(), &account)?;
        let data = directory.path().join("data");
        output(
            account.command(&binaries.join("initdb"), directory.path()).arg("--pgdata").arg(&data).args([
                "--username=quittance",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ]),
        )
        .context("PostgreSQL's initdb failed")?;

        // Another process can take the port between our look and the server's start: then try the next one.
        let mut last = None;
        for _ in 0..3 {
            let port = free_port()?;
            match boot(&binaries, &account, directory.path(), port, durability) {
                Ok(server) => {
                    return Ok(Self { server, port, binaries, account, durability, directory });
                }
                Err(error) => last = Some(error),
            }
            interrupt::check()?;
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("PostgreSQL did not start")))
    }

    /// Ends the server and starts it again at the same address, with the same data.
    ///
    /// With [`Durability::None`], [`Shutdown::Immediate`] loses commits.
    pub fn restart(&mut self, how: Shutdown) -> Result<()> {
        let signal = match how {
            Shutdown::Fast => "INT",
            Shutdown::Immediate => "QUIT",
        };
        self.server.stop(signal, Duration::from_secs(30));
        self.server = boot(&self.binaries, &self.account, self.directory.path(), self.port, self.durability)?;
        Ok(())
    }

    /// Where to connect, as a superuser without a password, and without TLS.
    pub fn url(&self) -> String {
        format!("postgres://quittance@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }

    /// The certificate that vouches for the server, for `sslrootcert`.
    pub fn authority(&self) -> PathBuf {
        self.directory.path().join(AUTHORITY)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Immediate shutdown: nobody will read these files again.
        self.server.stop("QUIT", Duration::from_secs(10));
    }
}

const AUTHORITY: &str = "authority.pem";
const CERTIFICATE: &str = "server.pem";
const KEY: &str = "server.key";

/// Makes an authority, and a certificate of the server's that it vouches for: of 127.0.0.1, and no name.
fn certify(directory: &Path, account: &Account) -> Result<()> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate()?;
    fs::write(directory.join(AUTHORITY), authority.self_signed(&authority_key)?.pem())?;
    let key = KeyPair::generate()?;
    let names = vec![Ipv4Addr::LOCALHOST.to_string()];
    let certificate =
        CertificateParams::new(names)?.signed_by(&key, &Issuer::new(authority, authority_key))?;
    for (name, text) in [(CERTIFICATE, certificate.pem()), (KEY, key.serialize_pem())] {
        let path = directory.join(name);
        // PostgreSQL refuses a key that others could read, or that is not its own.
        let mut file = fs::File::options().create_new(true).write(true).mode(0o600).open(&path)?;
        file.write_all(text.as_bytes())?;
        if let Some(user) = account.becomes {
            chown(&path, Some(user.uid), Some(user.gid))?;
        }
    }
    Ok(())
}

/// A TCP port on loopback that nobody listens on.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

fn boot(
    binaries: &Path,
    account: &Account,
    directory: &Path,
    port: u16,
    durability: Durability,
) -> Result<Group> {
    let data = directory.join("data");
    let log = directory.join("server.log");
    let file = fs::File::create(&log)?;
    let mut settings = vec![
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        format!("unix_socket_directories={}", directory.display()),
        "max_connections=200".to_owned(),
        "timezone=UTC".to_owned(),
        "ssl=on".to_owned(),
        format!("ssl_cert_file={}", directory.join(CERTIFICATE).display()),
        format!("ssl_key_file={}", directory.join(KEY).display()),
    ];
    if durability == Durability::None {
        // Nobody recovers from the log, and it may lie in memory.
        let short = ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_wal_size=256MB"];
        settings.extend(short.map(str::to_owned));
    }
    let mut command = account.command(&binaries.join("postgres"), directory);
    command.arg("-D").arg(&data);
    for setting in settings {
        command.arg("-c").arg(setting);
    }
    let mut server = Group::spawn(command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file))?;
    // The last line of the lock file says what `pg_ctl -w` waits for.
    let lock = data.join("postmaster.pid");
    let ready = poll(Duration::from_secs(60), || {
        let text = fs::read_to_string(&lock).unwrap_or_default();
        let up = text.lines().nth(7).is_some_and(|line| line.trim() == "ready");
        (up || server.ended().is_some() || interrupt::check().is_err()).then_some(up)
    });
    if ready == Some(true) {
        return Ok(server);
    }
    interrupt::check()?;
    let words = fs::read_to_string(&log).unwrap_or_default();
    bail!("PostgreSQL did not start on port {port}. Its log:\n{words}")
}

/// Who runs the server, and through which program we become that user.
struct Account {
    becomes: Option<User>,
    setpriv: Option<PathBuf>,
}

impl Account {
    fn choose() -> Result<Self> {
        let setpriv = find(&["setpriv"]);
        if !is_root()? {
            return Ok(Self { becomes: None, setpriv });
        }
        let becomes = user("postgres").or_else(|| user("nobody")).context(
            "PostgreSQL does not run as root, and this machine has neither a user `postgres` nor `nobody`: run this as another user",
        )?;
        if setpriv.is_none() {
            bail!(
                "PostgreSQL does not run as root, and `setpriv` is missing: install the package util-linux, or run this as another user"
            );
        }
        Ok(Self { becomes: Some(becomes), setpriv })
    }

    fn command(&self, program: &Path, directory: &Path) -> Command {
        let mut command = match &self.setpriv {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "QUIT"]);
                if let Some(user) = self.becomes {
                    command
                        .arg(format!("--reuid={}", user.uid))
                        .arg(format!("--regid={}", user.gid))
                        .arg("--clear-groups");
                }
                command.arg(program);
                command
            }
            None => Command::new(program),
        };
        // The temporary directory is one that the unprivileged user can enter; the caller's own may not be.
        command.current_dir(directory).env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C");
        command
    }
}

fn binaries() -> Result<PathBuf> {
    if let Some(found) = look() {
        return Ok(found);
    }
    install_postgres()?;
    look().context("PostgreSQL was installed, but `initdb` and `postgres` were found neither in the PATH, nor by pg_config, nor under /usr/lib/postgresql")
}

/// The directory that holds both `initdb` and `postgres`. A client-only installation has a `pg_config` but no server.
fn look() -> Option<PathBuf> {
    let mut places = Vec::new();
    if let Some(file) = find(&["initdb"]) {
        places.extend(file.parent().map(PathBuf::from));
    }
    if let Some(directory) =
        find(&["pg_config"]).and_then(|program| output(Command::new(program).arg("--bindir")).ok())
    {
        places.push(PathBuf::from(directory.trim()));
    }
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort();
    places.extend(versions.into_iter().rev().map(|(_, path)| path));
    places.into_iter().find(|place| place.join("initdb").exists() && place.join("postgres").exists())
}
