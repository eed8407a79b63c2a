use super::*;

#[test]
fn a_guid_reads_as_people_write_it() {
    let bytes: Vec<u8> = (0..16).collect();
    assert_eq!(
        guid_text(&bytes).as_deref(),
        Some("03020100-0504-0706-0809-0a0b0c0d0e0f")
    );
    assert_eq!(guid_text(&bytes[..15]), None);
    assert_eq!(guid_text(&[]), None);
}

#[test]
fn a_refused_bind_says_why() {
    let text = "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 533, v1db1";
    assert_eq!(reason(text), Some("the account is disabled"));
    assert_eq!(reason("Simple Bind Failed: NT_STATUS_LOGON_FAILURE"), None);
}
