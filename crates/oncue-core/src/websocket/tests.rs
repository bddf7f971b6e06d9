use alloc::vec;

use oncue_testing::Rng;

use super::*;

#[test]
fn headers_come_back_as_they_were_written_and_in_the_lengths_of_the_rfc() {
    for (len, bytes) in [(0, 2), (1, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10), (1 << 40, 10)] {
        for mask in [None, Some([1, 2, 3, 4])] {
            let mut out = Vec::new();
            put_header(&mut out, Opcode::Binary, len, mask);
            let mask_bytes = if mask.is_some() { 4 } else { 0 };
            assert_eq!(out.len(), bytes + mask_bytes, "{len}");
            for cut in 0..out.len() {
                assert_eq!(parse_header(&out[..cut], mask.is_some()), Ok(None), "{len} cut at {cut}");
            }
            let header = parse_header(&out, mask.is_some()).unwrap().unwrap();
            let expected = Header {
                fin: true,
                opcode: Opcode::Binary,
                mask: mask.unwrap_or_default(),
                header_len: out.len(),
                payload_len: len,
            };
            assert_eq!(header, expected);
        }
    }
}

#[test]
fn what_the_rfc_forbids_is_named_at_the_first_byte_that_proves_it() {
    let fault = |bytes: &[u8], masked| parse_header(bytes, masked).unwrap_err();
    assert_eq!(fault(&[0xc2], false), Fault::ReservedBits(0xc2));
    assert_eq!(fault(&[0x83], false), Fault::Opcode(3));
    assert_eq!(fault(&[0x81], false), Fault::Text);
    assert_eq!(fault(&[0x82, 0x01], true), Fault::Masking { masked: false });
    assert_eq!(fault(&[0x82, 0x81], false), Fault::Masking { masked: true });
    assert_eq!(fault(&[0x89, 126], false), Fault::Control);
    assert_eq!(fault(&[0x09, 0], false), Fault::Control);
    assert_eq!(fault(&[0x82, 126, 0, 125], false), Fault::Length);
    assert_eq!(fault(&[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], false), Fault::Length);
    assert_eq!(fault(&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], false), Fault::Length);
}

#[test]
fn a_mask_is_undone_by_itself_in_pieces_of_any_size() {
    for seed in 0..100 {
        let mut rng = Rng::new(seed);
        let bytes: Vec<u8> = (0..rng.below(70)).map(|_| rng.below(256) as u8).collect();
        let mask = [0, 1, 2, 3].map(|_| rng.below(256) as u8);
        let expected: Vec<u8> = bytes.iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]).collect();
        let (mut out, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            let end = at + 1 + rng.below((bytes.len() - at) as u64) as usize;
            put_masked(&mut out, &bytes[at..end], mask, at as u64);
            at = end;
        }
        assert_eq!(out, expected, "seed {seed}");
        apply_mask(&mut out, mask, 0);
        assert_eq!(out, bytes, "seed {seed}");
    }
}

#[test]
fn a_close_says_why_within_the_bound_of_a_control_frame() {
    let long = "\u{e4}".repeat(100);
    let payload = close_payload(1008, &long);
    assert_eq!(payload.len(), 2 + 122);
    assert_eq!(parse_close(&payload), Ok(Some((1008, &long[..122]))));
    assert_eq!(parse_close(&[]), Ok(None));
    assert_eq!(parse_close(&[3]), Err(Fault::Close));
    assert_eq!(parse_close(&[3, 0xe8, 0xff]), Err(Fault::Close));
    let mut out = Vec::new();
    put_control(&mut out, Opcode::Ping, &[7; 200], None);
    assert_eq!(out.len(), 2 + CONTROL_BYTES_MAX);
}

#[test]
fn flags_are_those_of_zmtp() {
    for (zws, zmtp) in [(0, 0), (1, MORE), (2, COMMAND)] {
        assert_eq!((flags_from_zws(zws), flags_to_zws(zmtp)), (Ok(zmtp), zws));
    }
    assert_eq!(flags_from_zws(3), Err(Fault::Flags(3)));
    assert_eq!(vec![flags_to_zws(MORE | 2)], [1], "whether a length is long is not said");
}
