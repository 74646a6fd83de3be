//! What is read out of HTML.

use super::*;

#[test]
fn what_a_reader_sees() {
    let cases = [
        ("plain", "plain"),
        ("<p>one</p><p>two</p>", "one\ntwo\n"),
        ("a<br>b", "a\nb"),
        ("a<b>b</b>c", "abc"),
        ("a <b>b</b> c", "a b c"),
        ("V<!-- hidden -->iagra", "Viagra"),
        ("V<!--->iagra", "Viagra"),
        ("V<!-- a ---->iagra", "Viagra"),
        ("V<!-- a --!>iagra", "Viagra"),
        ("x<style>p { color: red }</style>y", "xy"),
        ("x<SCRIPT>if (a<b) {}</script >y", "xy"),
        ("x<script>never closed", "xnever closed"),
        ("&lt;&amp;&#65;&#x42;&euro;&nosuch;&", "<&AB€&nosuch;&"),
        ("1 < 2 and <3", "1 < 2 and <3"),
        ("<td>a</td><td>b</td>", "a b "),
        ("<a title='>'>in</a>", "in"),
        ("<title>t</title>b<noscript>n</noscript>", "bn"),
        ("unfinished <a href=", "unfinished "),
        ("<", "<"),
        ("", ""),
    ];
    for (source, text) in cases {
        assert_eq!(read(source).text, text, "{source}");
    }
}

#[test]
fn hostile_repetition_is_read_in_linear_time() {
    for unit in [
        "<style>",
        "<!----!>",
        "<!-- -",
        "<a href=\"",
        "&#",
        "</",
        "<a b='",
    ] {
        let source = unit.repeat((1 << 20) / unit.len()) + "-->";
        assert!(read(&source).text.len() <= source.len(), "{unit}");
    }
}

#[test]
fn where_it_leads() {
    let cases: [(&str, &[(&str, &str)]); 9] = [
        (
            "<a href=\"http://a.example/\">go</a>",
            &[("http://a.example/", "go")],
        ),
        (
            "<A HREF='http://a.example/?a=1&amp;b=2'>x <b>y</b></A>",
            &[("http://a.example/?a=1&b=2", "x y")],
        ),
        (
            "<a href=http://a.example/ class=x>go",
            &[("http://a.example/", "go")],
        ),
        (
            "<a\nhref = \"ht\ntp://a.example\">x</a>",
            &[("http://a.example", "x")],
        ),
        (
            "<img/src=http://a.example/p.png>",
            &[("http://a.example/p.png", "")],
        ),
        (
            "<form action=\"https://f.example\">",
            &[("https://f.example", "")],
        ),
        (
            "<meta http-equiv=refresh content=\"0; URL='http://r.example'\">",
            &[("http://r.example", "")],
        ),
        ("<a href=\"\">x</a><a name=y>z</a>", &[]),
        (
            "<a href='http://1.example'>a<a href='http://2.example'>b</a>",
            &[("http://1.example", "a"), ("http://2.example", "b")],
        ),
    ];
    for (source, links) in cases {
        let expected: Vec<_> = links
            .iter()
            .map(|(target, shown)| Link {
                target: (*target).to_owned(),
                shown: (*shown).to_owned(),
            })
            .collect();
        assert_eq!(read(source).links, expected, "{source}");
    }
}
