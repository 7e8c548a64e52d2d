//! A user of a list who has a certificate too is one user.

use std::collections::{HashMap, hash_map::Entry as Slot};

use crate::found::{FoundUser, Remark};

/// Those of lists come first. Of two who are called alike there the first one has the certificates.
pub(crate) fn join(listed: Vec<FoundUser>, issued: Vec<FoundUser>, remarks: &mut Vec<Remark>) -> Vec<FoundUser> {
    let has_list = !listed.is_empty();
    let mut users = listed;
    let mut numbers = HashMap::new();
    for number in 0..users.len() {
        match numbers.entry(users[number].name.clone()) {
            Slot::Vacant(new) => {
                new.insert(number);
            }
            Slot::Occupied(first) => restrict(&mut users, *first.get(), number, remarks),
        }
    }
    for holder in issued {
        let Some(user) = numbers.get(&holder.name).and_then(|number| users.get_mut(*number)) else {
            if has_list && holder.active {
                let text = format!(
                    "`{}` has a certificate that is not revoked, and is in no list of users: the server lets the user in",
                    holder.name
                );
                remarks.push(holder.place.clone().remark(text));
            }
            users.push(holder);
            continue;
        };
        if user.active && !holder.active {
            let text = format!(
                "`{}` is active here, and all certificates of the user are revoked: the user is taken as suspended",
                holder.name
            );
            remarks.push(user.place.clone().remark(text));
            user.active = false;
        }
        user.created_at = user.created_at.or(holder.created_at);
        user.certificates = holder.certificates;
    }
    users
}

/// Whoever is in lists twice, such as in that of today and in one of last year, has the access that both give.
fn restrict(users: &mut [FoundUser], first: usize, again: usize, remarks: &mut Vec<Remark>) {
    let (active, expires_at, place) = (users[again].active, users[again].expires_at, users[again].place.clone());
    let first = &mut users[first];
    let ends = [first.expires_at, expires_at].into_iter().flatten().min();
    if (first.active && !active) || ends != first.expires_at {
        let text = format!(
            "`{}` is here again, with less access than in {}: that counts",
            first.name, first.place
        );
        remarks.push(place.remark(text));
        first.active &= active;
        first.expires_at = ends;
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::found::{FoundCertificate, Place};

    fn user(name: &str, active: bool, certificates: usize) -> FoundUser {
        let certificate = FoundCertificate {
            common_name: name.to_owned(),
            serial: "1".parse().expect("a number"),
            not_after: DateTime::UNIX_EPOCH,
            is_revoked: false,
        };
        let place = Place {
            file: "a".to_owned(),
            line: None,
        };
        FoundUser {
            active,
            certificates: vec![certificate; certificates],
            ..FoundUser::new(name.to_owned(), place)
        }
    }

    #[test]
    fn a_user_is_in_when_both_let_her_in_and_who_is_in_no_list_is_spoken_of() {
        let listed = vec![
            user("alice", true, 0),
            user("bob", false, 0),
            user("carl", true, 0),
            user("alice", true, 0),
        ];
        let issued = vec![
            user("carl", false, 1),
            user("bob", true, 1),
            user("alice", true, 2),
            user("dora", true, 1),
        ];
        let mut remarks = Vec::new();
        let joined = join(listed, issued, &mut remarks);
        let joined: Vec<_> = joined
            .iter()
            .map(|user| (user.name.as_str(), user.active, user.certificates.len()))
            .collect();
        assert_eq!(
            joined,
            [
                ("alice", true, 2),
                ("bob", false, 1),
                ("carl", false, 1),
                ("alice", true, 0),
                ("dora", true, 1)
            ]
        );
        let told: Vec<_> = remarks
            .iter()
            .map(|remark| remark.text.split(' ').next().unwrap_or_default())
            .collect();
        assert_eq!(told, ["`carl`", "`dora`"]);
    }

    #[test]
    fn without_a_list_nobody_is_missing_in_one() {
        let mut remarks = Vec::new();
        let joined = join(Vec::new(), vec![user("dora", true, 1)], &mut remarks);
        assert_eq!((joined.len(), remarks.len()), (1, 0));
    }

    #[test]
    fn of_two_lists_the_one_that_gives_less_counts_whichever_comes_first() {
        let end = DateTime::from_timestamp(1_800_000_000, 0);
        let ends = |name, expires_at| FoundUser {
            expires_at,
            ..user(name, true, 0)
        };
        let listed = vec![
            user("alice", true, 0),
            ends("bob", None),
            ends("carl", end),
            user("alice", false, 0),
            ends("bob", end),
            ends("carl", None),
        ];
        let mut remarks = Vec::new();
        let joined = join(listed, Vec::new(), &mut remarks);
        let joined: Vec<_> = joined[..3].iter().map(|user| (user.active, user.expires_at)).collect();
        assert_eq!(joined, [(false, None), (true, end), (true, end)]);
        let told: Vec<_> = remarks
            .iter()
            .map(|remark| remark.text.split(' ').next().unwrap_or_default())
            .collect();
        assert_eq!(told, ["`alice`", "`bob`"]);
    }
}
