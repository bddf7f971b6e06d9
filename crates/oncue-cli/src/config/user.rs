//! The users of the system, as /etc/passwd and /etc/group name them. Directories of users elsewhere (NSS) are not asked.

use std::fs;
use std::path::PathBuf;

use rustix::process::geteuid;

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// As whom a program runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The supplementary groups.
    pub(crate) groups: Vec<u32>,
    /// None if no entry of the system has this number.
    pub(crate) name: Option<String>,
    pub(crate) home: PathBuf,
}

/// A line of /etc/passwd.
struct Entry<'f> {
    name: &'f str,
    uid: u32,
    gid: u32,
    home: &'f str,
}

impl User {
    /// The user of a text such as `www-data`, `www-data:adm` or `33:4`, as whom this process can run programs.
    ///
    /// # Errors
    /// Why not, and the remedy.
    pub(super) fn named(text: &str) -> Result<User, String> {
        let read = |path| {
            let bytes = fs::read(path).map_err(|error| format!("{path} cannot be read: {error}"));
            bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        let user = User::find(text, read(PASSWD), read(GROUP))?;
        if !geteuid().is_root() {
            return Err(
                "only root can run a program as another user; start `oncue` as root, or leave it out"
                    .to_owned(),
            );
        }
        Ok(user)
    }

    /// The same, in these files.
    fn find(
        text: &str,
        passwd: Result<String, String>,
        group: Result<String, String>,
    ) -> Result<User, String> {
        let (user, own_group) = match text.split_once(':') {
            Some((user, own_group)) => (user, Some(own_group)),
            None => (text, None),
        };
        if user.is_empty() || own_group.is_some_and(|group| group.is_empty() || group.contains(':')) {
            return Err(format!("expected \"NAME\" or \"NAME:GROUP\", found {text:?}"));
        }
        let number = number(user)?;
        // Numbers need no file.
        let passwd = if number.is_some() { passwd.unwrap_or_default() } else { passwd? };
        let mut entries = passwd.lines().filter_map(entry);
        let entry = entries.find(|entry| number.map_or(entry.name == user, |uid| entry.uid == uid));
        let uid = match (number, &entry) {
            (Some(uid), _) => uid,
            (None, Some(entry)) => entry.uid,
            (None, None) => {
                return Err(format!(
                    "there is no user `{user}` in {PASSWD}; create it, or write the numbers of a user and a group, such as \"1000:1000\""
                ));
            }
        };
        let (gid, groups) = match (own_group, &entry) {
            (Some(own_group), _) => (gid(own_group, group)?, Vec::new()),
            (None, Some(entry)) => (entry.gid, member_of(entry.name, &group?)),
            (None, None) => {
                return Err(format!(
                    "no user in {PASSWD} has the number {uid}; write its group too, as in \"{uid}:{uid}\""
                ));
            }
        };
        let name = entry.as_ref().map(|entry| entry.name.to_owned());
        let home = entry.map_or("/", |entry| entry.home).into();
        Ok(User { uid, gid, groups, name, home })
    }
}

fn entry(line: &str) -> Option<Entry<'_>> {
    let mut fields = line.split(':');
    let (name, _, uid, gid, _, home) =
        (fields.next()?, fields.next()?, fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    Some(Entry { name, uid: uid.parse().ok()?, gid: gid.parse().ok()?, home })
}

/// A number of a user or a group; None if it is a name.
fn number(text: &str) -> Result<Option<u32>, String> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    // The last number means "no change" to the system.
    let number = text.parse().ok().filter(|number| *number != u32::MAX);
    number
        .map(Some)
        .ok_or_else(|| format!("{text} is not a number of a user or a group; they end at {}", u32::MAX - 1))
}

/// The number of a group.
fn gid(text: &str, group: Result<String, String>) -> Result<u32, String> {
    if let Some(number) = number(text)? {
        return Ok(number);
    }
    let found = group?.lines().find_map(|line| {
        let (name, _, gid, _) = group_entry(line)?;
        (name == text).then_some(gid)
    });
    found.ok_or_else(|| format!("there is no group `{text}` in {GROUP}; create it, or write its number"))
}

/// The groups of which a user is a member.
fn member_of(user: &str, group: &str) -> Vec<u32> {
    let groups = group.lines().filter_map(group_entry);
    groups
        .filter(|(.., members)| members.split(',').any(|member| member == user))
        .map(|(_, _, gid, _)| gid)
        .collect()
}

/// The name, the password, the number and the members of a line of /etc/group.
fn group_entry(line: &str) -> Option<(&str, &str, u32, &str)> {
    let mut fields = line.split(':');
    let (name, password, gid) = (fields.next()?, fields.next()?, fields.next()?.parse().ok()?);
    Some((name, password, gid, fields.next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/sh\n# no entry\n+::::::\nweb:x:33:34:,,,:/var/www:/bin/false\nodd:x:a:b::/:\n";
    const GROUPS: &str = "root:x:0:\nlog:x:4:syslog,web\nweb:x:34:\nwebs:x:35:webmaster\nadm:x:36:web\n";

    fn find(text: &str) -> Result<User, String> {
        User::find(text, Ok(USERS.to_owned()), Ok(GROUPS.to_owned()))
    }

    fn user(uid: u32, gid: u32, groups: &[u32], name: Option<&str>, home: &str) -> Result<User, String> {
        Ok(User { uid, gid, groups: groups.to_vec(), name: name.map(Into::into), home: home.into() })
    }

    #[test]
    fn a_user_has_the_groups_of_the_system_unless_one_is_named() {
        assert_eq!(find("web"), user(33, 34, &[4, 36], Some("web"), "/var/www"));
        assert_eq!(find("33"), find("web"));
        for text in ["web:log", "web:4", "33:log"] {
            assert_eq!(find(text), user(33, 4, &[], Some("web"), "/var/www"));
        }
        assert_eq!(find("1000:1001"), user(1000, 1001, &[], None, "/"));
        let none = || Err("no file".to_owned());
        assert_eq!(User::find("5:6", none(), none()), user(5, 6, &[], None, "/"), "numbers need no file");
    }

    #[test]
    fn a_user_that_is_not_there_is_refused_with_a_remedy() {
        for (text, why) in [
            ("wbe", "there is no user `wbe` in /etc/passwd; create it"),
            ("odd", "there is no user `odd`"),
            ("web:no", "there is no group `no` in /etc/group; create it"),
            ("1000", "no user in /etc/passwd has the number 1000; write its group too, as in \"1000:1000\""),
            ("", "expected \"NAME\" or \"NAME:GROUP\", found \"\""),
            (":web", "expected"),
            ("web:", "expected"),
            ("web:web:web", "expected"),
            ("4294967295:0", "is not a number of a user or a group"),
            ("0:4294967296", "is not a number of a user or a group"),
        ] {
            let found = find(text).expect_err(text);
            assert!(found.starts_with(why) || found.contains(why), "{text}: {found}");
        }
    }
}
