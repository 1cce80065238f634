//! Comparing GitHub's open issues with the cached ones: absence is not deletion.
