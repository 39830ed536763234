//! Every test that docs/reliability.md names is there.
#![allow(missing_docs, reason = "a test is documented by its name")]

use std::{fs, io};

#[test]
fn every_row_names_a_test_that_exists() -> io::Result<()> {
    let root = env!("CARGO_MANIFEST_DIR");
    let page = fs::read_to_string(format!("{root}/docs/reliability.md"))?;
    let mut rows = 0;
    for row in page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| fault")) {
        let last = row.trim_end_matches('|').rsplit(" | ").next().unwrap_or_default();
        let mut named = last.split('`').skip(1).step_by(2);
        let (file, test) = (named.next().unwrap_or_default(), named.next().unwrap_or_default());
        let source = fs::read_to_string(format!("{root}/{file}")).unwrap_or_default();
        assert!(!test.is_empty() && source.contains(&format!("fn {test}(")), "{file}: {test:?} of {row}");
        rows += 1;
    }
    assert!(rows >= 25, "only {rows} rows were found");
    Ok(())
}
