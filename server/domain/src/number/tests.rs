//! Order of version numbers, as a table and as properties.

use super::*;
use Ordering::{Equal, Greater, Less};
use proptest::prelude::*;

fn number(text: &str) -> VersionNumber {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn numbers_compare_as_people_expect() {
    let pairs = [
        // Numbers are numbers.
        ("v2.0", Greater, "v1.0"),
        ("3.0", Greater, "2.9"),
        ("1.10", Greater, "1.9"),
        ("1.0.10", Greater, "1.0.9"),
        ("10", Greater, "9"),
        ("0.10.0", Greater, "0.9.9"),
        ("2.9.1", Greater, "2.9"),
        ("1.2.3.4", Greater, "1.2.3"),
        ("1.2.4", Greater, "1.2.3.4"),
        ("99999999999999999999999999", Greater, "99999999999999999999999998"),
        ("1.18446744073709551616", Greater, "1.18446744073709551615"),
        // Spellings of the same.
        ("2.9", Equal, "2.9.0"),
        ("v2.9", Equal, "2.9.0"),
        ("V2.9", Equal, "v2.9.0.0"),
        ("2", Equal, "2.0.0"),
        ("0", Equal, "0.0.0"),
        ("1.02", Equal, "1.2"),
        ("1.0+build.1", Equal, "1.0.0+build.2"),
        ("1.0+build", Equal, "1"),
        ("2024-01-15", Equal, "2024.1.15"),
        ("1.0rc1", Equal, "1.0.0-rc.1"),
        ("1.0.0-rc.01", Equal, "1.0.0-rc.1"),
        ("release-2", Equal, "release.02"),
        // Pre-releases come before their release.
        ("1.0", Greater, "1.0-rc.1"),
        ("1.0.0", Greater, "1.0.0-alpha"),
        ("1.0.0-rc.10", Greater, "1.0.0-rc.9"),
        ("1.0-rc2", Greater, "1.0-rc1"),
        ("1.0.0-beta", Greater, "1.0.0-alpha"),
        ("1.0.0-alpha.1", Greater, "1.0.0-alpha"),
        ("1.0.0-alpha.beta", Greater, "1.0.0-alpha.1"),
        ("1.0.0-beta.11", Greater, "1.0.0-beta.2"),
        ("1.0.0-rc.1+5", Less, "1.0.0"),
        ("1.0rc10", Greater, "1.0rc9"),
        ("1.0.beta2", Less, "1.0"),
        ("1.0-SNAPSHOT", Less, "1.0"),
        ("1.0SNAPSHOT", Less, "1.0"),
        ("1.0.1-rc.1", Greater, "1.0.0"),
        ("1.0-rc.1", Greater, "0.9"),
        ("2-rc1", Less, "2"),
        // What else follows a number comes after it.
        ("1.0.2a", Greater, "1.0.2"),
        ("1.0.2b", Greater, "1.0.2a"),
        ("1.0.2z", Less, "1.0.3"),
        ("4.2.1.Final", Greater, "4.2.1"),
        ("1.0_p10", Greater, "1.0_p9"),
        // Dates.
        ("2024-02-01", Greater, "2024-01-15"),
        ("2024-12-01", Greater, "2024-2-1"),
        ("2024.10.1", Greater, "2024.9.30"),
        ("20240201", Greater, "20240115"),
        // Names.
        ("rc.10", Greater, "rc.9"),
        ("rc2", Greater, "rc1"),
        ("rc10", Greater, "rc9"),
        ("release-2.10", Greater, "release-2.9"),
        ("latest", Less, "0.0.1"),
        ("latest", Greater, "beta"),
        ("stable-2", Greater, "stable"),
        ("v", Less, "v1"),
        ("版本2", Greater, "版本1"),
        ("版本10", Greater, "版本9"),
        ("1.0版", Greater, "1.0"),
        ("1.0-测试", Less, "1.0"),
        ("e\u{301}1", Greater, "e1"),
    ];
    assert!(pairs.len() >= 40);
    for (one, order, two) in pairs {
        assert_eq!(number(one).cmp(&number(two)), order, "{one} and {two}");
        assert_eq!(number(two).cmp(&number(one)), order.reverse(), "{two} and {one}");
        assert_eq!(number(one) == number(two), order == Equal, "{one} and {two}");
        assert_eq!(number(one).normal_form() == number(two).normal_form(), order == Equal, "{one} and {two}");
    }
}

#[test]
fn what_is_no_number_is_refused_with_the_reason() {
    let long = "1".repeat(65);
    for (text, error) in [
        ("", InvalidVersionNumber::Length(0)),
        (long.as_str(), InvalidVersionNumber::Length(65)),
        ("1 0", InvalidVersionNumber::Character(' ')),
        ("1/0", InvalidVersionNumber::Character('/')),
        ("1\\0", InvalidVersionNumber::Character('\\')),
        ("1\n", InvalidVersionNumber::Character('\n')),
        ("1\u{200b}", InvalidVersionNumber::Character('\u{200b}')),
        ("1\u{202e}", InvalidVersionNumber::Character('\u{202e}')),
        ("1\u{3000}2", InvalidVersionNumber::Character('\u{3000}')),
        ("-1", InvalidVersionNumber::Start),
        ("..", InvalidVersionNumber::Start),
    ] {
        assert_eq!(text.parse::<VersionNumber>(), Err(error), "{text:?}");
    }
    assert!("1".repeat(64).parse::<VersionNumber>().is_ok());
    assert!("本".repeat(64).parse::<VersionNumber>().is_ok(), "characters, not bytes");
}

#[test]
fn normal_forms() {
    for (text, normal) in [
        ("v2.9", "2.9.0"),
        ("1.2.3.4.0", "1.2.3.4"),
        ("1.0RC1", "1.0.0-RC.1"),
        ("1.0-rc1", "1.0.0-rc1"),
        ("1.0.2a", "1.0.2_a"),
        ("2024-01-05", "2024.1.5"),
        ("release-07", "release.7"),
    ] {
        assert_eq!(number(text).normal_form(), normal, "{text}");
    }
    assert!(number("1.0rc1").is_pre_release() && !number("1.0a").is_pre_release());
}

#[test]
fn an_upgrade_is_a_greater_number_or_a_later_revision_of_the_same() {
    let installed = number("2.9");
    for (candidate, revision, expected) in [
        ("3.0", 1, true),
        ("2.9", 3, true),
        ("v2.9.0", 3, true),
        ("2.9", 2, false),
        ("2.9", 1, false),
        ("2.8", 9, false),
        ("2.9.1-rc.1", 1, true),
        ("latest", 9, false),
    ] {
        assert_eq!(is_upgrade((&installed, 2), (&number(candidate), revision)), expected, "{candidate} {revision}");
    }
    let candidates = ["3.0", "2.8", "3.1", "2.9"].map(number);
    let found = upgradable((&installed, 1), candidates.iter().map(|number| ((number, 1), number.as_str())));
    assert_eq!(found.into_iter().map(|(_, text)| text).collect::<Vec<_>>(), ["3.1", "3.0"]);
}

/// Numbers of all the forms that people write, near each other, so that pairs are often equal or close.
fn spelling() -> impl Strategy<Value = String> {
    let digits = "(0|1|2|9|10|01|2024)";
    prop_oneof![
        4 => proptest::string::string_regex(&format!("[vV]?{digits}(\\.{digits}){{0,3}}(-(rc|a|1|0|b-c)(\\.(1|2|10|x))?)?(\\+b)?")).unwrap(),
        2 => proptest::string::string_regex(&format!("{digits}([-._]?(rc|beta|p|a|0|12|版)){{0,3}}")).unwrap(),
        1 => "[a-z]{1,3}([-.]?[0-9]{1,2}){0,2}",
        1 => proptest::string::string_regex("[0-9a-zA-Z版é][0-9a-zA-Z版é._+-]{0,20}").unwrap(),
    ]
}

fn semantic() -> impl Strategy<Value = String> {
    let numeric = "(0|[1-9][0-9]{0,2})";
    let identifier = format!("({numeric}|[0-9]{{0,2}}[a-zA-Z-][0-9a-zA-Z-]{{0,2}})");
    proptest::string::string_regex(&format!(
        "{numeric}\\.{numeric}\\.{numeric}(-{identifier}(\\.{identifier}){{0,2}})?(\\+[0-9a-z]{{1,3}})?"
    ))
    .unwrap()
}

proptest! {
    #[test]
    fn the_order_is_total(one in spelling(), two in spelling(), three in spelling()) {
        let (one, two, three) = (number(&one), number(&two), number(&three));
        prop_assert_eq!(one.cmp(&two), two.cmp(&one).reverse());
        if one <= two && two <= three {
            prop_assert!(one <= three);
        }
        prop_assert_eq!(one == two, one.cmp(&two) == Equal);
        prop_assert_eq!(one.cmp(&two), one.sort_key().cmp(two.sort_key()));
    }

    #[test]
    fn equal_numbers_have_one_normal_form_which_is_equal_to_them(one in spelling(), two in spelling()) {
        let (one, two) = (number(&one), number(&two));
        prop_assert_eq!(one == two, one.normal_form() == two.normal_form());
        let normal = Order::of(&one.normal_form());
        prop_assert_eq!(normal.key(), one.sort_key());
    }

    #[test]
    fn semantic_versions_compare_as_semantic_versions(one in semantic(), two in semantic()) {
        let expected = semver::Version::parse(&one).unwrap().cmp_precedence(&semver::Version::parse(&two).unwrap());
        prop_assert_eq!(number(&one).cmp(&number(&two)), expected);
    }

    #[test]
    fn the_spelling_is_kept(text in spelling()) {
        let number = number(&text);
        prop_assert_eq!(number.as_str(), &text);
        prop_assert_eq!(serde_json::to_value(&number).unwrap(), serde_json::Value::String(text.clone()));
        prop_assert_eq!(String::from(number), text);
    }

    #[test]
    fn no_text_is_too_strange(text in "\\PC{0,70}") {
        if let Ok(number) = text.parse::<VersionNumber>() {
            prop_assert!(number.sort_key().len() <= 600);
        }
    }
}
