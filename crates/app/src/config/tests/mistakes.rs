//! A table of mistakes: each has its code, line and column, and comes alone.

use super::super::catalogue::Code;
use super::super::{Request, load};
use super::{found, load_text, load_with, problems, surroundings};
use std::collections::BTreeSet;

/// Text and what is found in it.
const TABLE: &[(&str, &[&str])] = &[
    // Grammar.
    ("version = 1\nrules = [\"block all\"\n", &["C003 2:21"]),
    ("version = 1\n[proxy]\nlisten = \"127.0.0.1:3128\nrealm = x\n", &["C003 3:25", "C003 4:9"]),
    ("version = 1\n[proxy]\nrealm = \"a\"\nrealm = \"b\"\n", &["C004 4:1"]),
    // Version.
    ("[proxy]\n", &["C006 1:1"]),
    ("", &["C006 1:1"]),
    ("version = 2\n", &["C007 1:11"]),
    ("version = \"1\"\n", &["C013 1:11"]),
    // Includes.
    ("version = 1\ninclude = \"gone.toml\"\n", &["C005 2:11"]),
    ("version = 1\ninclude = [\"a*/b.toml\"]\n", &["C005 2:12"]),
    // Substitution.
    ("version = 1\n[proxy]\nrealm = \"a ${MISSING} b\"\n", &["C010 3:12"]),
    ("version = 1\n[proxy]\nrealm = \"${file:gone.txt}\"\n", &["C011 3:10"]),
    ("version = 1\n[proxy]\nrealm = \"${a b}\"\n", &["C011 3:10"]),
    ("version = 1\n[proxy]\nrealm = \"x ${SET\"\n", &["C011 3:12"]),
    ("version = 1\n[proxy]\nrealm = \"${MISSING} ${ALSO}\"\n", &["C010 3:10", "C010 3:21"]),
    // Keys and types.
    ("version = 1\n[proxy]\nlisen = [\"127.0.0.1:3128\"]\n", &["C012 3:1"]),
    ("version = 1\n[prox]\nlisten = \"x\"\n", &["C012 2:2"]),
    ("version = 1\n[exits.a]\nulr = \"socks5://192.0.2.1\"\n", &["C012 3:1"]),
    ("version = 1\n[proxy]\nhead_timeout = \"1s\"\n", &["C012 3:1"]),
    ("version = 1\n[proxy]\nrealm = 5\n", &["C013 3:9"]),
    ("version = 1\n[proxy]\nlisten = [\"127.0.0.1:1080\", 5]\n", &["C013 3:29"]),
    ("version = 1\nproxy = 5\n", &["C013 2:9"]),
    ("version = 1\n[[proxy]]\nrealm = \"a\"\n", &["C013 2:1"]),
    ("version = 1\n[proxy]\nlevel = \"elit\"\n", &["C014 3:9"]),
    ("version = 1\n[proxy]\nauth = \"basik\"\nusers = \"users.htpasswd\"\n", &["C014 3:8"]),
    ("version = 1\n[proxy]\nreach = [\"public\", \"local\"]\n", &["C014 3:20"]),
    (
        "version = 1\n[sites.\"a.example\"]\nlisten = \"127.0.0.1:8080\"\nto = \"http://127.0.0.1:1\"\ncache = true\n",
        &["C015 5:1"],
    ),
    // Traces.
    ("version = 1\n[trace]\notlp = \"127.0.0.1:4318\"\n", &["C061 3:8"]),
    ("version = 1\n[trace]\notlp = \"http://me@127.0.0.1:4318\"\n", &["C061 3:8"]),
    ("version = 1\n[trace]\nsample = \"0.00001%\"\n", &["C018 3:10"]),
    ("version = 1\n[trace]\nparent = \"trust\"\n", &["C014 3:10"]),
    // Compression.
    (
        "version = 1\n[sites.\"a.example\"]\nlisten = \"127.0.0.1:8080\"\nto = \"http://127.0.0.1:1\"\ncompress = \"gzip\"\n",
        &["C013 5:12"],
    ),
    (
        "version = 1\n[sites.\"a.example\"]\nlisten = \"127.0.0.1:8080\"\nto = \"http://127.0.0.1:1\"\ncompress = [\"gzip\", \"brotli\"]\n",
        &["C014 5:21"],
    ),
    (
        "version = 1\n[sites.\"a.example\"]\nlisten = \"127.0.0.1:8080\"\nto = \"http://127.0.0.1:1\"\ncompress = [\"deflate\"]\n",
        &["C015 5:13"],
    ),
    (
        "version = 1\n[sites.\"a.example\"]\nlisten = \"127.0.0.1:8080\"\nto = \"http://127.0.0.1:1\"\ncompress = [\"br\", 5]\n",
        &["C013 5:19"],
    ),
    (
        "version = 1\n[sites.\"a.example\"]\nlisten = \"127.0.0.1:8080\"\nto = \"http://127.0.0.1:1\"\ncompress = { codings = [\"br\", \"br\"] }\n",
        &["C055 5:31"],
    ),
    (
        "version = 1\n[sites.\"a.example\"]\nlisten = \"127.0.0.1:8080\"\nto = \"http://127.0.0.1:1\"\ncompress = { types = \"text\" }\n",
        &["C036 5:22"],
    ),
    (
        "version = 1\n[sites.\"a.example\"]\nlisten = \"127.0.0.1:8080\"\nto = \"http://127.0.0.1:1\"\ncompress = { kinds = \"text/plain\" }\n",
        &["C012 5:14"],
    ),
    ("version = 1\n[lists.a]\nurl = \"https://lists.example.org/a\"\n", &["C015 3:1"]),
    ("version = 1\n[proxy]\nauth = \"kerberos\"\nusers = \"users.htpasswd\"\n", &["C015 3:8"]),
    ("version = 1\nrules = [\"overlay all\"]\n", &["C032 2:11"]),
    ("version = 1\nrules = [\"block time:mon-fri/09:00-17:00\"]\n", &["C015 2:17"]),
    ("version = 1\n[exits.a]\n", &["C016 2:8"]),
    ("version = 1\n[lists.a]\n", &["C016 2:8"]),
    ("version = 1\n[proxy]\nlisten = []\n", &["C016 2:2"]),
    ("version = 1\n[dns]\nupstream = []\n", &["C016 2:2"]),
    ("version = 1\n[proxy]\ntls = { cert = \"proxy.pem\" }\n", &["C016 3:16"]),
    // Values.
    ("version = 1\n[limits]\nhead_timeout = 10\n", &["C017 3:16"]),
    ("version = 1\n[limits]\nhead_timeout = \"10\"\n", &["C017 3:16"]),
    ("version = 1\n[limits]\nhead_size = \"65536\"\n", &["C017 3:13"]),
    ("version = 1\n[limits]\nhead_timeout = \"10 sec\"\n", &["C018 3:16"]),
    ("version = 1\n[limits]\nmin_rate = \"64 B\"\n", &["C018 3:12"]),
    ("version = 1\n[limits]\nmemory = \"half\"\n", &["C018 3:10"]),
    ("version = 1\n[limits]\nhead_timeout = \"1d\"\n", &["C019 3:16"]),
    ("version = 1\n[limits]\nmemory = \"95%\"\n", &["C019 3:10"]),
    ("version = 1\n[limits]\ntunnel_idle = \"1ms\"\n", &["C019 3:15"]),
    ("version = 1\n[runtime]\nshards = 0\n", &["C019 3:10"]),
    ("version = 1\n[proxy]\nlisten = \"localhost:3128\"\n", &["C020 3:10"]),
    ("version = 1\n[proxy]\nlisten = [\"127.0.0.1:1080\", \"127.0.0.1:99999\"]\n", &["C020 3:29"]),
    ("version = 1\n[proxy]\nlisten = [\"127.0.0.1:1080\", \"127.0.0.1:1080\"]\n", &["C021 3:29"]),
    ("version = 1\n[admin]\nlisten = \"127.0.0.1:3128\"\n", &["C021 3:10"]),
    ("version = 1\n[proxy]\nlisten = \"127.0.0.1:80\"\n", &["C022 3:10"]),
    ("version = 1\n[proxy]\nclients = [\"192.168.1.7/24\"]\n", &["C023 3:12"]),
    ("version = 1\n[proxy]\nclients = \"lan\"\n", &["C023 3:11"]),
    // Files.
    ("version = 1\n[proxy]\nauth = \"basic\"\nusers = \"gone\"\n", &["C024 4:9"]),
    ("version = 1\nrules = [\"block list:a\"]\n[lists.a]\nfile = \"gone\"\n", &["C024 4:8"]),
    ("version = 1\n[proxy]\nauth = \"basic\"\nusers = \"broken.htpasswd\"\n", &["C026 4:9"]),
    ("version = 1\n[proxy]\nauth = \"basic\"\nusers = \"empty.htpasswd\"\n", &["C026 4:9"]),
    ("version = 1\nrules = [\"block list:a\"]\n[lists.a]\nfile = \"odd.txt\"\n", &["C027 4:8"]),
    ("version = 1\n[proxy]\nauth = [\"basic\"]\n", &["C028 3:9"]),
    ("version = 1\n[proxy]\ntls = { cert = \"proxy.key\", key = \"proxy.key\" }\n", &["C029 3:16"]),
    // Rules.
    ("version = 1\nrules = [\n  \"direct private\",\n  \"blok all\",\n]\n", &["C030 4:4"]),
    ("version = 1\nrules = [\"block port:http\"]\n", &["C030 2:22"]),
    ("version = 1\nrules = [\n  \"direct all\",\n\n  \"block 10.0.0.0/8\",\n]\n", &["C031 5:4"]),
    (
        "version = 1\nrules = [\"via:vsp all\"]\n[exits.vps]\nurl = \"http://192.0.2.1\"\n",
        &["C032 2:15", "C033 4:7"],
    ),
    ("version = 1\nrules = [\"block list:ads\"]\n", &["C032 2:22"]),
    ("version = 1\n[exits.vps]\nurl = \"http://192.0.2.1\"\n", &["C033 3:7"]),
    ("version = 1\n[lists.ads]\nfile = \"ads.txt\"\n", &["C033 3:8"]),
    // Exits and servers.
    ("version = 1\nrules = [\"via:a all\"]\n[exits.a]\nurl = \"sock5://192.0.2.1\"\n", &["C034 4:8"]),
    ("version = 1\nrules = [\"via:a all\"]\n[exits.a]\nurl = \"http://192.0.2.1:0\"\n", &["C034 4:15"]),
    ("version = 1\nrules = [\"via:a all\"]\n[exits.a]\nurl = \"socks5://me@192.0.2.1\"\n", &["C034 4:17"]),
    ("version = 1\n[dns]\nupstream = [\"system\", \"dns.example\"]\n", &["C035 3:23"]),
    ("version = 1\n[proxy]\nrealm = \"a\\\"b\"\n", &["C036 3:9"]),
    ("version = 1\nrules = [\"via:a all\"]\n[exits.a]\nurl = \"http://127.0.0.1:3128\"\n", &["C037 4:7"]),
    // Open doors.
    ("version = 1\n[proxy]\nlisten = \"0.0.0.0:3128\"\n", &["C044 3:10"]),
    ("version = 1\n[proxy]\nlisten = \"[::]:3128\"\nclients = \"0.0.0.0/0\"\n", &["C044 3:10"]),
    ("version = 1\n[admin]\nlisten = \"0.0.0.0:3131\"\n", &["C045 3:10"]),
    ("version = 1\n[proxy]\nusers = \"users.htpasswd\"\n", &["C046 3:9"]),
];

/// What is in front of a mistake in a site: three lines.
const SITE: &str = "version = 1\n[sites.\"a.example\"]\nlisten = \"127.0.0.1:8080\"\n";
/// The same for a stream.
const STREAM: &str = "version = 1\n[streams.a]\nlisten = \"127.0.0.1:8080\"\n";

/// Further lines of a site, and what is found in them.
const SITES: &[(&str, &[&str])] = &[
    ("", &["C016 3:10"]),
    ("to = \"http://192.0.2.1\"\n", &[]),
    ("to = \"http://192.0.2.1\"\nhedge = { after = \"p95\" }\n", &[]),
    ("to = \"http://192.0.2.1\"\nhedge = { after = \"2m\", budget = \"0%\" }\n", &["C019 5:19", "C019 5:34"]),
    ("to = \"https://192.0.2.1\"\nto_proxy_protocol = \"v2\"\n", &[]),
    ("to = \"h2c://192.0.2.1\"\nto_proxy_protocol = \"v1\"\n", &["C056 5:21"]),
    (
        "to = \"https://192.0.2.1\"\nto_proxy_protocol = \"v2\"\nupstream = { protocol = \"auto\" }\n",
        &["C056 5:21"],
    ),
    ("to = \"192.0.2.1:80\"\n", &["C048 4:6"]),
    ("to = [\"http://192.0.2.1\", \"ftp://192.0.2.1\"]\n", &["C048 4:27"]),
    ("to = \"http://192.0.2.1/app\"\n", &["C048 4:6"]),
    ("to = \"http://192.0.2.1 weight=70000\"\n", &["C048 4:6"]),
    ("to = \"dns:http://192.0.2.1\"\n", &["C048 4:6"]),
    ("to = \"srv:_http._tcp.a.example\"\n", &["C048 4:6"]),
    ("to = \"tcp://192.0.2.1:5432\"\n", &["C048 4:6"]),
    ("to = \"http://127.0.0.1:8080\"\n", &["C052 4:6"]),
    ("routes = \"/a -> http://127.0.0.1:8080\"\n", &["C052 4:17"]),
    ("to = \"http://192.0.2.1\"\nbalance = \"lest-conn\"\n", &["C014 5:11"]),
    ("to = \"http://192.0.2.1\"\nbalance = \"hash:header:\"\n", &["C014 5:11"]),
    ("to = \"http://192.0.2.1\"\nsticky = \"a b\"\n", &["C036 5:10"]),
    ("to = \"http://192.0.2.1\"\naccept = \"eager\"\n", &["C015 5:1"]),
    ("to = \"http://192.0.2.1\"\nhealth = { path = \"healthz\" }\n", &["C054 5:19"]),
    ("to = \"http://192.0.2.1\"\nhealth = { path = \"/\", status = \"20x\" }\n", &["C054 5:33"]),
    ("to = \"http://192.0.2.1\"\nhealth = { body = \"ok\" }\n", &["C055 5:19"]),
    ("to = \"http://192.0.2.1\"\nhealth = { every = \"1ms\" }\n", &["C019 5:20"]),
    ("to = \"http://192.0.2.1\"\nhealth = { grpc = \"a\" }\n", &[]),
    ("to = \"http://192.0.2.1\"\nhealth = { path = \"/\", grpc = \"a\" }\n", &["C054 5:31"]),
    ("to = \"http://192.0.2.1\"\nupstream = { sni = \"b.example\" }\n", &["C055 5:20"]),
    ("to = \"https://192.0.2.1\"\nupstream = { sni = \"b example\" }\n", &["C047 5:20"]),
    ("to = \"https://192.0.2.1\"\nupstream = { client_cert = \"proxy.pem\" }\n", &["C016 5:28"]),
    ("to = \"http://192.0.2.1\"\ntls = { cert = \"proxy.pem\" }\n", &["C016 5:16"]),
    ("to = \"http://192.0.2.1\"\ntls = { cert = \"proxy.pem\", key = \"gone\" }\n", &["C024 5:35"]),
    ("to = \"http://192.0.2.1\"\nrate = \"many\"\n", &["C018 5:8"]),
    ("to = \"http://192.0.2.1\"\nqueue = { longest = \"1s\" }\n", &["C055 5:21"]),
    ("to = \"http://192.0.2.1\"\nbreaker.requests = 1\nqueue = { target = \"1m\" }\n", &["C019 6:20"]),
    ("to = \"http://192.0.2.1\"\ngate = \"close\"\n", &["C014 5:8"]),
    (
        "to = \"http://192.0.2.1\"\n[sites.b]\nlisten = \"127.0.0.1:8080\"\nto = \"http://192.0.2.1\"\ngate = \"hold\"\n",
        &["C050 6:10"],
    ),
    ("to = \"http://192.0.2.1\"\nfallback = \"answer:99 x\"\n", &["C049 5:13"]),
    ("to = \"http://192.0.2.1\"\nfallback = \"page:gone.html\"\n", &["C024 5:12"]),
    ("to = \"http://192.0.2.1\"\nfallback = \"192.0.2.2\"\n", &["C048 5:12"]),
    ("to = \"http://192.0.2.1\"\nfallback = \"http://127.0.0.1:8080\"\n", &["C052 5:12"]),
    ("to = \"http://192.0.2.1\"\nupstream = { protocol = \"h2\" }\n", &["C055 5:25"]),
    ("to = \"https://192.0.2.1\"\nupstream = { protocol = \"h3\" }\n", &["C014 5:25"]),
    ("to = \"http://192.0.2.1\"\nbreaker = { requests = 0 }\n", &["C019 5:24"]),
    ("to = \"http://192.0.2.1\"\nretries = { tries = 9 }\n", &["C019 5:21"]),
    ("to = \"http://192.0.2.1\"\nretries = { on = [\"connect\", \"brokn\"] }\n", &["C014 5:30"]),
    ("to = \"http://192.0.2.1\"\nretries = { status = \"5xx\" }\n", &["C019 5:22"]),
    ("to = \"http://192.0.2.1\"\nretries = { budget = 20 }\n", &["C017 5:22"]),
    ("to = \"http://192.0.2.1\"\nretries = { budget = \"2000%\" }\n", &["C019 5:22"]),
    ("to = \"http://192.0.2.1\"\noutliers = { most = \"half\" }\n", &["C018 5:21"]),
    ("to = \"http://192.0.2.1\"\noutliers = { out = \"2d\" }\n", &["C019 5:20"]),
    ("to = \"http://192.0.2.1\"\npanic_below = \"101%\"\n", &["C019 5:15"]),
    ("to = \"http://192.0.2.1\"\ntimeouts = { total = \"1ms\" }\n", &["C019 5:22"]),
    (
        "to = \"http://192.0.2.1\"\n[sites.\"A.EXAMPLE.\"]\nlisten = \"127.0.0.1:8080\"\nto = \"http://192.0.2.1\"\n",
        &["C051 3:10"],
    ),
    (
        "to = \"http://192.0.2.1\"\n[sites.\"b c\"]\nlisten = \"127.0.0.1:8080\"\nto = \"http://192.0.2.1\"\n",
        &["C047 6:10"],
    ),
    (
        "to = \"http://192.0.2.1\"\n[sites.\"*.b.example\"]\nlisten = \"127.0.0.1:8080\"\nto = \"http://192.0.2.1\"\n",
        &[],
    ),
    (
        "to = \"http://192.0.2.1\"\n[sites.b]\nlisten = \"0.0.0.0:8080\"\nto = \"http://192.0.2.1\"\n",
        &["C021 6:10"],
    ),
    (
        "to = \"http://192.0.2.1\"\n[sites.b]\nlisten = \"127.0.0.1:8080\"\nto = \"http://192.0.2.1\"\nproxy_protocol = true\n",
        &["C050 6:10"],
    ),
    ("to = \"http://192.0.2.1\"\n[proxy]\nlisten = \"127.0.0.1:8080\"\n", &["C021 3:10"]),
    ("to = \"http://192.0.2.1\"\n[admin]\nlisten = \"127.0.0.1:8080\"\n", &["C021 6:10"]),
    ("routes = \"/a http://192.0.2.1\"\n", &["C049 4:11"]),
    ("routes = \"/a -> \"\n", &["C049 4:14"]),
    ("routes = \"/a?b -> http://192.0.2.1\"\n", &["C049 4:11"]),
    ("routes = \"/a -> http://192.0.2.1 rewrite:b\"\n", &["C049 4:34"]),
    ("routes = \"/a -> http://192.0.2.1 rewrite:/$x\"\n", &["C049 4:34"]),
    ("routes = \"/a -> http://192.0.2.1 strip:/a prefix:/b\"\n", &["C049 4:43"]),
    ("routes = \"/a -> http://192.0.2.1 set:Content-Length=1\"\n", &["C049 4:34"]),
    ("routes = \"/a -> http://192.0.2.1 max:many\"\n", &["C049 4:34"]),
    ("routes = \"/a -> strip:/a\"\n", &["C049 4:17"]),
    ("routes = \"/a => files:b strip:/a\"\n", &["C049 4:25"]),
    ("routes = \"/a header:a:b -> http://192.0.2.1\"\n", &["C049 4:14"]),
    ("routes = \"/a/../b -> http://192.0.2.1\"\n", &["C049 4:11"]),
    ("routes = \"/a methd:GET -> http://192.0.2.1\"\n", &["C049 4:14"]),
    ("routes = \"/a method:get -> http://192.0.2.1\"\n", &["C049 4:14"]),
    ("routes = \"/a -> redirect:/b\"\n", &["C049 4:14"]),
    ("routes = \"/a => http://192.0.2.1\"\n", &["C049 4:17"]),
    ("routes = \"/a => redirct:/b\"\n", &["C049 4:17"]),
    ("routes = \"/a => redirect:/b 200\"\n", &["C049 4:29"]),
    ("routes = \"/a => redirect:b\"\n", &["C049 4:17"]),
    ("routes = \"/a => answer:99\"\n", &["C049 4:17"]),
    ("routes = \"/a => files:static more\"\n", &["C049 4:30"]),
    ("routes = \"/a -> weight=2\"\n", &["C049 4:17"]),
    ("routes = \"/a -> 192.0.2.1:80\"\n", &["C048 4:17"]),
    ("routes = [\"/a* => answer:200\", \"/ab method:GET => answer:404\"]\n", &["C053 4:32"]),
    ("routes = [\"/a* method:GET => answer:200\", \"/ab => answer:404\"]\n", &[]),
];

/// Further lines of a stream, and what is found in them.
const STREAMS: &[(&str, &[&str])] = &[
    ("", &["C016 3:10"]),
    ("to = \"192.0.2.1:5432\"\n", &[]),
    ("to = \"192.0.2.1:1\"\ntrusted = \"10.0.0.0/8\"\n", &["C055 5:11"]),
    ("to = \"192.0.2.1:1\"\nproxy_protocol = true\ntrusted = \"10.0.0.1/8\"\n", &["C023 6:11"]),
    ("to = \"192.0.2.1\"\n", &["C048 4:6"]),
    ("to = \"http://192.0.2.1\"\n", &["C048 4:6"]),
    ("to = \"127.0.0.1:8080\"\n", &["C052 4:6"]),
    ("sni = { \"a b\" = \"192.0.2.1:443\" }\n", &["C047 4:17"]),
    ("to = \"192.0.2.1:1\"\nbalance = \"hash:uri\"\n", &["C014 5:11"]),
    ("to = \"192.0.2.1:1\"\nretries = { status = \"503\" }\n", &["C012 5:13"]),
    ("to = \"192.0.2.1:1\"\ntls = { cert = \"proxy.pem\" }\n", &["C016 5:16"]),
    (
        "to = \"192.0.2.1:1\"\ntls = { cert = \"proxy.pem\", key = \"proxy.key\", alpn = [\"h2\", \"\"] }\n",
        &["C019 5:62"],
    ),
    (
        "sni = { \"*\" = \"192.0.2.1:443\" }\ntls = { cert = \"proxy.pem\", key = \"proxy.key\" }\n",
        &["C056 5:16"],
    ),
    (
        "to = \"192.0.2.1:1\"\n[streams.\"b c\"]\nlisten = \"127.0.0.1:8081\"\nto = \"192.0.2.1:1\"\n",
        &["C036 6:10"],
    ),
    (
        "to = \"192.0.2.1:1\"\n[streams.b]\nlisten = \"127.0.0.1:8080\"\nto = \"192.0.2.1:1\"\n",
        &["C021 6:10"],
    ),
    ("to = \"192.0.2.1:1\"\n[streams.b]\nlisten = \"udp://127.0.0.1:8080\"\nto = \"192.0.2.1:1\"\n", &[]),
    (
        "to = \"192.0.2.1:1\"\n[streams.b]\nlisten = [\"udp://127.0.0.1:8080\", \"127.0.0.1:8081\"]\nto = \"192.0.2.1:1\"\n",
        &["C056 6:35"],
    ),
    (
        "to = \"192.0.2.1:1\"\n[streams.b]\nlisten = \"udp://127.0.0.1:8080\"\nto = \"192.0.2.1:1\"\nproxy_protocol = true\n",
        &["C056 8:18"],
    ),
    (
        "to = \"192.0.2.1:1\"\n[streams.b]\nlisten = \"udp://127.0.0.1:8080\"\nto = \"unix:/run/a\"\n",
        &["C048 7:6"],
    ),
    (
        "to = \"192.0.2.1:1\"\n[streams.b]\nlisten = \"udp://127.0.0.1:8080\"\nto = \"192.0.2.1:1\"\nhealth = { every = \"2s\" }\n",
        &["C016 8:20"],
    ),
];

#[test]
fn each_mistake_in_sites_and_streams_is_found_at_its_place_and_alone() {
    let whole = |head: &'static str, table: &'static [(&str, &[&str])]| {
        table.iter().map(move |(text, expected)| (format!("{head}{text}"), *expected))
    };
    let differs = |(text, expected): &(String, &[&str])| problems(text) != **expected;
    let all = whole(SITE, SITES).chain(whole(STREAM, STREAMS));
    let wrong: Vec<_> =
        all.filter(differs).map(|(text, expected)| (problems(&text), expected, text)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_mistake_is_found_at_its_place_and_alone() {
    let differs = |(text, expected): &&(&str, &[&str])| problems(text) != *expected;
    let wrong: Vec<_> = TABLE.iter().filter(differs).map(|(text, _)| (text, problems(text))).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_code_is_triggered_by_a_test() {
    let mut seen: BTreeSet<String> = [TABLE, SITES, STREAMS, super::certificates::TABLE]
        .into_iter()
        .flatten()
        .flat_map(|(_, found)| found.iter())
        .map(|found| found[..4].to_owned())
        .collect();
    // These need more than one text; each has its own test below.
    seen.extend(["C001", "C008", "C025", "C070", "C071", "C072"].map(str::to_owned));
    let all: BTreeSet<String> = Code::ALL.iter().map(|code| code.id().to_owned()).collect();
    assert_eq!(all.difference(&seen).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn a_missing_file_is_one_mistake() {
    let request = Request { file: Some("nowhere/shoalway.toml".into()), ..Request::default() };
    assert_eq!(found(&load(&request).err().unwrap()), ["C001 -"]);
}

#[test]
fn overrides_are_reported_by_their_number() {
    let report =
        load_with("version = 1\n", &["proxy.realm=ok", "nonsense", "proxy.lisen=1", "a b=1"], surroundings());
    let report = report.err().unwrap();
    let names: Vec<_> = report
        .problems()
        .iter()
        .map(|problem| {
            let at = report.sources().locate(&problem.place).unwrap();
            format!("{} {}:{}:{}", problem.code.id(), at.file, at.line, at.column)
        })
        .collect();
    assert_eq!(names, ["C008 -o 2:1:1", "C012 -o 3:1:7", "C008 -o 4:1:1"]);
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = std::env::temp_dir().join(format!("shoalway-key-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let key = dir.join("proxy.key");
    std::fs::write(&key, "-----BEGIN PRIVATE KEY-----\n").unwrap();
    let text =
        format!("version = 1\n[proxy]\ntls = {{ cert = \"proxy.pem\", key = \"{}\" }}\n", key.display());
    let mut results = Vec::new();
    for mode in [0o644, 0o600] {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        results.push(problems(&text));
    }
    std::fs::remove_dir_all(&dir).unwrap();
    assert_eq!(results, [vec!["C025 3:35".to_owned()], vec![]]);
}

#[test]
fn a_key_set_in_two_files_is_named_with_both_places() {
    let files = surroundings()
        .with_file("conf.d/b.toml", "rules = [\"block port:25\"]\n[proxy]\nrealm = \"b\"\n")
        .with_file("conf.d/a.toml", "rules = [\"block port:23\"]\n[proxy]\nrealm = \"a\"\n");
    let text = "version = 1\ninclude = \"conf.d/*.toml\"\nrules = [\"block port:21\"]\n";
    let report = load_with(text, &[], files.clone()).err().unwrap();
    assert_eq!(found(&report), ["C004 3:1"]);
    assert_eq!(report.problems()[0].also.len(), 1);
    let text = "version = 1\ninclude = [\"conf.d/a.toml\"]\nrules = [\"block port:21\"]\n";
    let loaded = load_with(text, &[], files.clone()).unwrap_or_else(|report| panic!("{report:?}"));
    assert_eq!(loaded.settings.rules.line(2), Some("block port:23"));
    let nested = files.with_file("c.toml", "include = \"conf.d/a.toml\"\n");
    let report = load_with("version = 1\ninclude = \"c.toml\"\n", &[], nested).err().unwrap();
    assert_eq!(found(&report), ["C005 1:1"]);
}

#[test]
fn a_file_with_ten_mistakes_shows_ten() {
    let text = r#"version = 1
rules = [
  "direct private",
  "blok domain:ads.example",
  "via:vsp all",
  "block all",
]
[proxy]
lisen = ["127.0.0.1:3128"]
level = "elit"
clients = ["192.168.1.1/24"]
realm = 7
[limits]
head_timeout = 10
[admin]
listen = "0.0.0.0:3131"
[overlay]
[dns]
upstream = ["dns.example"
"#;
    let report = load_text(text).err().unwrap();
    let expected = [
        "C030 4:4",
        "C032 5:8",
        "C012 9:1",
        "C014 10:9",
        "C023 11:12",
        "C013 12:9",
        "C017 14:16",
        "C045 16:10",
        "C016 17:2",
        "C003 19:26",
    ];
    assert_eq!(found(&report), expected);
    let shown = report.to_text(super::super::Ending::Check);
    assert_eq!(shown.matches("error[").count(), 10, "{shown}");
}
