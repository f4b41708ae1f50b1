//! The certificate that all peers of a run present: ECDSA P-256, self-signed, made once by `openssl`.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::machine;

/// The site that the certificate is for.
pub(super) const HOST: &str = "shop.example";

/// Its files; they go with it.
pub(super) struct Certificate {
    dir: PathBuf,
}

impl Certificate {
    /// Makes key and certificate.
    ///
    /// # Errors
    /// When `openssl` is missing or refuses.
    pub(super) fn make() -> Result<Self> {
        let openssl = machine::find_program("openssl")
            .context("openssl is missing: apt-get install --yes --no-install-recommends openssl")?;
        let dir = env::temp_dir().join(format!("shoalway-bench-{}-certificate", std::process::id()));
        fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
        let certificate = Self { dir };
        let name = format!("subjectAltName=DNS:{HOST}");
        // Nodes of the overlay verify it, and it is its own authority: they take no certificate of one for a site's.
        let leaf = "basicConstraints=critical,CA:FALSE";
        let mut command = Command::new(openssl);
        command.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-sha256",
        ]);
        command.args([
            "-nodes",
            "-days",
            "7",
            "-subj",
            &format!("/CN={HOST}"),
            "-addext",
            &name,
            "-addext",
            leaf,
        ]);
        command.arg("-keyout").arg(certificate.key()).arg("-out").arg(certificate.chain());
        let output = command.stdin(Stdio::null()).output().context("openssl")?;
        ensure!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
        let both = fs::read_to_string(certificate.chain())? + &fs::read_to_string(certificate.key())?;
        fs::write(certificate.both(), both)?;
        Ok(certificate)
    }

    /// What templates call its files.
    pub(super) fn words(&self) -> [(&'static str, String); 3] {
        [("CERT", self.chain()), ("KEY", self.key()), ("BOTH", self.both())]
            .map(|(word, path)| (word, path.display().to_string()))
    }

    fn chain(&self) -> PathBuf {
        self.dir.join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.dir.join("key.pem")
    }

    /// Certificate and key in one file, as HAProxy wants them.
    fn both(&self) -> PathBuf {
        self.dir.join("both.pem")
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        // A directory that stays behind under the temporary one does no harm.
        drop(fs::remove_dir_all(&self.dir));
    }
}
