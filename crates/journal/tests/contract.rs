//! Every journal passes the one contract suite.

#[cfg(test)]
mod memory {
    use journal::contract::World;
    use journal::{Journal, Memory};
    use mission::ids::MissionId;
    use std::sync::Arc;

    #[derive(Default)]
    struct OneMemory(Memory);

    impl World for OneMemory {
        fn open(&self) -> Arc<dyn Journal> {
            Arc::new(self.0.reopen())
        }

        fn kill(&self, mission: MissionId) {
            self.0.kill(mission);
        }
    }

    journal::contract_tests!(OneMemory::default());

    #[test]
    fn a_poisoned_handle_answers_nothing_more_and_another_one_does() {
        use journal::contract::{owner, wanted};
        use journal::{Error, Head, Takeover};
        use mission::ids::Seq;
        use mission::time::Timestamp;

        let memory = Memory::default();
        let mission = memory.create(Timestamp(1), wanted("x")).unwrap();
        let lease = memory.acquire(mission, owner(1), Takeover::Never).unwrap();
        memory.poison("the disk is gone");
        let poisoned = Error::Poisoned {
            why: "the disk is gone".to_owned(),
        };
        let append = memory.append(&lease, &Head::start(), &[b"{}".to_vec()], None);
        assert_eq!(append, Err(poisoned.clone()));
        assert_eq!(memory.read(mission, Seq(1), 1), Err(poisoned.clone()));
        assert_eq!(memory.missions(), Err(poisoned));
        assert_eq!(memory.reopen().head(mission), Ok(Head::start()));
    }
}

#[cfg(test)]
mod sqlite {
    use journal::contract::World;
    use journal::{Journal, Sqlite};
    use mission::ids::MissionId;
    use std::sync::Arc;

    struct OneDirectory(tempfile::TempDir);

    impl World for OneDirectory {
        fn open(&self) -> Arc<dyn Journal> {
            Arc::new(Sqlite::open(self.0.path()).unwrap())
        }

        /// A lock on a file that has lost its name is a lock that nobody else meets.
        fn kill(&self, mission: MissionId) {
            std::fs::remove_file(self.0.path().join(format!("leases/{mission}.lock"))).unwrap();
        }
    }

    journal::contract_tests!(OneDirectory(tempfile::tempdir().unwrap()));
}
