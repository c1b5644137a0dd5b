//! The graph as a mermaid diagram: readable as text, drawn by whatever shows the documentation.

use std::fmt::Write as _;

use super::allowed::{Kind, Rule};
use super::metadata::Crate;

const LAYERS: [(Kind, &str); 5] = [
    (Kind::Binary, "binary"),
    (Kind::Shell, "shells"),
    (Kind::Base, "base"),
    (Kind::Contract, "contracts"),
    (Kind::Pure, "pure"),
];

/// The crates by layer, then the arrows that are not only for tests. The binary's arrows lead to everything and are left out.
pub(crate) fn diagram(rules: &[Rule], crates: &[Crate]) -> String {
    let mut text = String::from("graph TD\n");
    for (kind, title) in LAYERS {
        let names: Vec<&str> = rules.iter().filter(|rule| rule.kind == kind).map(|rule| rule.name).collect();
        // Writing to a String does not fail.
        let _ = writeln!(text, "  subgraph {title}\n    {}\n  end", names.join("\n    "));
    }
    let is_binary = |name: &str| rules.iter().any(|rule| rule.kind == Kind::Binary && rule.name == name);
    for krate in crates.iter().filter(|krate| !is_binary(&krate.name)) {
        for target in krate.dependencies.iter().filter(|dependency| dependency.ours && !dependency.only_tests) {
            let _ = writeln!(text, "  {} --> {}", krate.name, target.name);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::allowed::CRATES;
    use super::super::metadata::Dependency;
    use super::*;

    #[test]
    fn crates_stand_in_their_layer_and_test_arrows_are_left_out() {
        let dependency = |name: &str, only_tests| Dependency { name: name.into(), ours: true, only_tests };
        let spool =
            Crate { name: "spool".into(), dependencies: vec![dependency("types", false), dependency("policy", true)] };
        let text = diagram(CRATES, &[spool]);
        assert!(text.contains("  subgraph binary\n    waybill\n  end\n"), "{text}");
        assert!(text.ends_with("  spool --> types\n"), "{text}");
    }
}
