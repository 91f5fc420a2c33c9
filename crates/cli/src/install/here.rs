//! Whether this is a place where nobody wants a plugin to be installed.

use std::path::Path;

/// What says that nobody sits here: the variables of common services.
const SERVICES: [&str; 18] = [
    "CI",
    "CONTINUOUS_INTEGRATION",
    "BUILD_NUMBER",
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "BUILDKITE",
    "CIRCLECI",
    "CIRRUS_CI",
    "TRAVIS",
    "JENKINS_URL",
    "TEAMCITY_VERSION",
    "TF_BUILD",
    "APPVEYOR",
    "DRONE",
    "WOODPECKER_CI",
    "SEMAPHORE",
    "CODEBUILD_BUILD_ID",
    "BITBUCKET_BUILD_NUMBER",
];

/// What a build leaves in its folder.
const BUILD: &str = ".rustc_info.json";

/// Why nothing is changed here, if so.
pub(crate) fn why_not(program: &Path, variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let on = |value: &String| !["", "0", "false"].contains(&value.to_lowercase().as_str());
    let service = SERVICES
        .iter()
        .find(|name| variable(name).filter(on).is_some());
    if let Some(name) = service {
        return Some(format!("this is a CI environment ({name} is set)"));
    }
    let build = program
        .ancestors()
        .skip(1)
        .find(|folder| folder.join(BUILD).exists());
    build.map(|folder| {
        format!(
            "this program stands in a build folder ({}), which the next build or `cargo clean` changes",
            folder.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_and_build_folders_are_known_by_what_they_set() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("debug/orchestrator");
        let with = |name: &'static str, value: &'static str| {
            move |asked: &str| (asked == name).then(|| value.to_owned())
        };
        for service in SERVICES {
            assert!(
                why_not(&program, with(service, "true")).is_some(),
                "{service}"
            );
        }
        for off in ["", "0", "false", "False"] {
            assert_eq!(why_not(&program, with("CI", off)), None, "{off}");
        }
        std::fs::write(dir.path().join(BUILD), "").unwrap();
        assert!(
            why_not(&program, |_| None)
                .unwrap()
                .contains("build folder")
        );
    }
}
