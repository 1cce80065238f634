//! GitHub's messages when it rejects a request by a policy, with their sources.

/// An organization's IP allow list (databricks/cli issue 2702, aquasecurity/trivy issue 10567).
pub const IP_ALLOW_LIST: &str = "Although you appear to have the correct authorization credentials, the `acme` organization \
     has an IP allow list enabled, and your IP address is not permitted to access this resource.";

/// A fine-grained token whose lifetime is too long (NixOS/org issue 247). Enterprises say "enterprise" (HHS/
/// simpler-grants-gov issue 2547).
pub const TOKEN_LIFETIME: &str = "The 'acme' organization forbids access via a fine-grained personal access tokens if the \
     token's lifetime is greater than 366 days. Please adjust your token's lifetime at the following URL: \
     https://github.com/settings/personal-access-tokens/1";

/// A classic token in an organization that allows only fine-grained ones (GitHub docs, "Setting a personal access token
/// policy for your organization").
pub const CLASSIC_TOKEN: &str = "`acme` forbids access via a personal access token (classic). Please use a GitHub App, OAuth \
     App, or a personal access token with fine-grained permissions.";

/// A token of a suspended user (sourcegraph/sourcegraph-public-snapshot issue 16638).
pub const SUSPENDED: &str = "Sorry. Your account was suspended.";

/// A repository that GitHub has blocked (slapperwan/gh4a issue 651).
pub const BLOCKED: &str = "Repository access blocked";
