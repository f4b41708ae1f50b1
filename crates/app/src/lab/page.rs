//! What the demo page and its 42 pictures look like. Text in, text out; works without scripts.
//!
//! Each picture says through which exit it was asked for; its colour is that exit's. Not here: serving them (`origin`).

use super::places::{EXITS, OBJECTS, Part, exit_at, object_host};
use std::fmt::Write as _;
use std::net::IpAddr;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#17222c;--dim:#5a6874;--ground:#f6f8fa;--card:#fff;--line:#dbe2e8}\
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--dim:#94a3b0;--ground:#0f161c;--card:#18222b;--line:#2a3743}}\
*{box-sizing:border-box}\
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,sans-serif}\
main{max-width:72rem;margin:0 auto;padding:2rem 1.25rem 4rem}\
h1{font-size:1.9rem;line-height:1.2;margin:.6rem 0;letter-spacing:-.01em}\
h2{font-size:1.15rem;margin:2.2rem 0 .7rem}\
p{max-width:44rem;margin:.4rem 0}\
.dim{color:var(--dim)}\
.badge{display:inline-block;border:1px solid var(--line);border-radius:99px;padding:.1rem .7rem;font-size:.85rem;color:var(--dim)}\
.parts{display:grid;grid-template-columns:repeat(auto-fill,minmax(9rem,1fr));gap:.6rem;margin:1.2rem 0;padding:0;list-style:none}\
.parts img{display:block;width:100%;height:auto;border-radius:.6rem;border:1px solid var(--line);background:var(--card)}\
.wide{overflow-x:auto}\
table{border-collapse:collapse;background:var(--card);border:1px solid var(--line);border-radius:.6rem;font-size:.92rem}\
th,td{padding:.3rem .9rem;text-align:left;border-top:1px solid var(--line);font-variant-numeric:tabular-nums}\
thead th{border-top:0;color:var(--dim);font-weight:600}\
.dot{display:inline-block;width:.9rem;height:.9rem;border-radius:.25rem;margin-right:.5rem;vertical-align:-.1rem}\
code{font-size:.92em}";

/// The page. `from` is who asks, `port` where all hosts of the page are.
#[must_use]
pub fn html(from: IpAddr, port: u16) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <link rel=\"icon\" href=\"data:,\">\
         <title>One page, {OBJECTS} parts</title><style>{STYLE}</style></head>\n<body><main>\n\
         <span class=\"badge\">lab &middot; all of it on this machine</span>\n\
         <h1>One page, {OBJECTS} parts, {EXITS} ways out</h1>\n\
         <p>Each tile is a picture on a site of its own. It shows the address that asked for it: the exit that your \
         client chose for that site. {}</p>\n\
         <p class=\"dim\">Reload: a site keeps its exit. Start the lab again: its sites fall to other exits.</p>\n",
        came(from)
    );
    out.push_str("<ul class=\"parts\">\n");
    for object in 1..=OBJECTS {
        let host = object_host(object);
        put(
            &mut out,
            format_args!(
                "<li><img src=\"http://{host}:{port}/part.svg\" width=\"180\" height=\"120\" \
                 alt=\"part {object} on {host}\" title=\"{host}\"></li>\n"
            ),
        );
    }
    out.push_str("</ul>\n<h2>The exits</h2>\n<div class=\"wide\"><table><thead><tr><th>Exit</th><th>Leaves from</th></tr></thead><tbody>\n");
    for exit in 1..=EXITS {
        let part = Part::Exit(exit);
        put(
            &mut out,
            format_args!(
                "<tr><td><span class=\"dot\" style=\"background:hsl({} 60% 55%)\"></span>{}</td><td><code>{}</code></td></tr>\n",
                hue(exit),
                part.label(),
                part.address()
            ),
        );
    }
    put(
        &mut out,
        format_args!(
            "</tbody></table></div>\n<h2>In a terminal</h2>\n\
             <p><code>http://{}:{port}/who</code> answers with one line: who asked.</p>\n</main></body></html>\n",
            object_host(1)
        ),
    );
    out
}

fn came(from: IpAddr) -> String {
    match exit_at(from) {
        Some(exit) => format!("The page itself came through <b>exit {exit}</b>, <code>{from}</code>."),
        None => format!(
            "The page itself was asked for by <code>{from}</code>, which is <b>no exit</b>: this browser does not use the lab."
        ),
    }
}

/// The picture of the object on this host: `from` is who asks.
#[must_use]
pub fn svg(host: &str, from: IpAddr) -> String {
    let part =
        host.get(1..3).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit())).unwrap_or("?");
    let (exit, style) = match exit_at(from) {
        Some(exit) => {
            let hue = hue(exit);
            let style = format!(
                "rect{{fill:hsl({hue} 65% 86%)}}text{{fill:hsl({hue} 55% 20%)}}\
                 @media(prefers-color-scheme:dark){{rect{{fill:hsl({hue} 40% 24%)}}text{{fill:hsl({hue} 70% 86%)}}}}"
            );
            (format!("exit {exit}"), style)
        }
        None => ("no exit".to_owned(), "rect{fill:#888}text{fill:#000}".to_owned()),
    };
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"180\" height=\"120\" viewBox=\"0 0 180 120\">\
         <style>{style}text{{font-family:system-ui,sans-serif}}</style><rect width=\"180\" height=\"120\"/>\
         <text x=\"14\" y=\"28\" font-size=\"15\" opacity=\".75\">part {part}</text>\
         <text x=\"14\" y=\"72\" font-size=\"30\" font-weight=\"600\">{exit}</text>\
         <text x=\"14\" y=\"102\" font-size=\"15\" opacity=\".75\">{from}</text></svg>\n"
    )
}

/// One line for programs: who asks.
#[must_use]
pub fn who(from: IpAddr) -> String {
    match exit_at(from) {
        Some(exit) => format!("{from} exit {exit}\n"),
        None => format!("{from} no exit\n"),
    }
}

/// What everybody sees who comes to a node's site.
#[must_use]
pub fn cover(site: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{site}</title></head>\n\
         <body><h1>{site}</h1><p>A small site.</p></body></html>\n"
    )
}

/// All that a page loads: the values of `src` that lead to a host.
pub fn sources(html: &str) -> impl Iterator<Item = &str> {
    html.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next())
}

/// Neighbours in number differ in colour.
fn hue(exit: u8) -> u16 {
    u16::from(exit) * 150 % 360 + u16::from(exit % 2) * 15
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing into a String has no way to fail.
    out.write_fmt(text).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_page_names_42_objects_on_42_hosts_and_says_who_asked() {
        let page = html(Part::Exit(5).address(), 8042);
        let sources: BTreeSet<&str> = sources(&page).collect();
        assert_eq!(sources.len(), 42);
        assert!(sources.contains("http://h07.lab07.internal:8042/part.svg"));
        assert!(page.contains("<b>exit 5</b>, <code>127.77.1.5</code>") && !page.contains("<script"));
        assert!(html([127, 0, 0, 1].into(), 8042).contains("<b>no exit</b>"));
    }

    #[test]
    fn a_picture_shows_its_part_and_the_exit() {
        let text = svg("h42.lab42.internal:8042", Part::Exit(12).address());
        assert!(text.contains(">part 42<") && text.contains(">exit 12<") && text.contains(">127.77.1.12<"));
        // A host that nobody of the lab has may be anything.
        assert!(svg("<b>", [127, 0, 0, 1].into()).contains(">part ?<"));
        assert_eq!(who(Part::Exit(3).address()), "127.77.1.3 exit 3\n");
    }

    #[test]
    fn no_two_exits_have_one_colour() {
        let hues: BTreeSet<u16> = (1..=EXITS).map(hue).collect();
        assert_eq!(hues.len(), usize::from(EXITS));
    }
}
