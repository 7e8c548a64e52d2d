//! What a key is narrowed to: pools, groups, or both.

/// What a caller may see and change. The default is all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// The pools; `None`: all. A user is in the pool of its home.
    pub pools: Option<Vec<String>>,
    /// The groups; `None`: all.
    pub groups: Option<Vec<String>>,
}

impl Scope {
    /// Whether it is narrowed to nothing.
    pub fn is_whole(&self) -> bool {
        self.pools.is_none() && self.groups.is_none()
    }

    /// Whether this pool is in it.
    pub fn has_pool(&self, pool: &str) -> bool {
        holds(self.pools.as_deref(), pool)
    }

    /// Whether this group is in it.
    pub fn has_group(&self, group: &str) -> bool {
        holds(self.groups.as_deref(), group)
    }
}

fn holds(names: Option<&[String]>, name: &str) -> bool {
    names.is_none_or(|names| names.iter().any(|one| one == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_and_groups_are_narrowed_apart() {
        let of_pool = Scope {
            pools: Some(vec!["sales".to_owned()]),
            groups: None,
        };
        assert!(Scope::default().is_whole() && !of_pool.is_whole());
        assert_eq!([of_pool.has_pool("sales"), of_pool.has_pool("default")], [true, false]);
        assert!(of_pool.has_group("staff"));
        let of_nothing = Scope {
            pools: None,
            groups: Some(Vec::new()),
        };
        assert!(!of_nothing.has_group("default") && of_nothing.has_pool("default"));
    }
}
