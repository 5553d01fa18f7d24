/* SPDX-License-Identifier: MIT */
/* The rarer families, byte for byte, and how they are shown. */
#include "base/addr.h"
#include "base/bits.h"
#include "harness.h"

#include <pier/addr.h>
#include <pier/error.h>

#include <errno.h>
#include <linux/tipc.h>
#include <stdio.h>
#include <string.h>

/*
 * The numbers in these vectors are those of a little-endian machine, except where the kernel
 * wants network order; tests/python compares with CPython on any.
 */
static void assert_bytes(pier_addr a, const char *hex)
{
    char seen[2 * sizeof a.sa + 1] = "";
    assert_int_equal(a.error, 0);
    assert_int_equal(a.pending, 0);
    assert_int_equal(pier__addr_check(&a), 0);
    for (size_t i = 0; i < a.length; i++)
        sprintf(seen + 2 * i, "%02x", ((unsigned char *)&a.sa)[i]);
    assert_string_equal(seen, hex);
    assert_true(pier__is_zero((char *)&a.sa + a.length, sizeof a.sa - a.length));
}

static void assert_text(pier_addr a, const char *text)
{
    assert_int_equal(a.error, 0);
    assert_string_equal(pier_addr_text(a).text, text);
}

TEST(netlink_is_a_port_and_groups)
{
    assert_bytes(pier_netlink(0x01020304, 0x05060708), "100000000403020108070605");
    assert_text(pier_netlink(812, 0x11), "netlink(pid 812, groups 0x11)");
}

TEST(packet_waits_for_its_interface)
{
    pier_addr a = pier_packet("eth0", 0x0800, 1, 2, "\x11\x22\x33\x44\x55\x66", 6);
    assert_int_equal(a.error, 0);
    assert_int_equal(a.pending, PIER_ADDR_INTERFACE);
    assert_int_equal(a.length, 0);
    assert_int_equal(pier_addr_family(a), AF_PACKET);
    assert_string_equal(a.host, "eth0");
    assert_int_equal(pier__addr_check(&a), PIER_EUNRESOLVED);
    assert_int_equal(pier_addr_port(a), PIER_EFAMILY);
    assert_text(a, "packet(eth0, protocol 0x0800, type 1, hardware 2 11:22:33:44:55:66)");
    assert_int_equal(pier__addr_set_interface(&a, 7), 0);
    assert_bytes(a, "1100080007000000020001061122334455660000");
    assert_text(a, "packet(#7, protocol 0x0800, type 1, hardware 2 11:22:33:44:55:66)");
    assert_int_equal(pier__addr_set_interface(&a, 7), PIER_EFAMILY);
}

TEST(packet_of_any_interface_is_complete)
{
    assert_bytes(pier_packet("", 3, 0, 0, NULL, 0), "1100000300000000000000000000000000000000");
    assert_text(
        pier_packet("", 3, 0, 0, NULL, 0), "packet(any, protocol 0x0003, type 0, hardware 0)");
}

TEST(packet_refuses_what_does_not_fit)
{
    assert_int_equal(pier_packet("lo", -1, 0, 0, NULL, 0).error, PIER_ERANGE);
    assert_int_equal(pier_packet("lo", 65536, 0, 0, NULL, 0).error, PIER_ERANGE);
    assert_int_equal(pier_packet("lo", 65535, 0, 0, "12345678", 8).error, 0);
    assert_int_equal(pier_packet("lo", 0, 0, 0, "123456789", 9).error, PIER_EHWADDRLEN);
    assert_int_equal(pier_packet("lo", 0, 0, 0, NULL, 6).error, -EINVAL);
    assert_int_equal(pier_packet(NULL, 0, 0, 0, NULL, 0).error, -EINVAL);
    assert_int_equal(pier_packet("abcdefghijklmno", 0, 0, 0, NULL, 0).error, 0);
    assert_int_equal(pier_packet("abcdefghijklmnop", 0, 0, 0, NULL, 0).error, PIER_EIFNAMELEN);
}

TEST(packet_shows_the_long_hardware_addresses_of_the_kernel)
{
    unsigned char sa[32] = {AF_PACKET, 0, 8, 0, 1, 0, 0, 0, 32, 0, 0, 20};
    for (unsigned char i = 0; i < 20; i++)
        sa[12 + i] = i;
    assert_text(pier_addr_raw(sa, sizeof sa),
        "packet(#1, protocol 0x0800, type 0, hardware 32 "
        "00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:10:11:12:13)");
    sa[11] = 255; /* more than there is room for */
    assert_true(strlen(pier_addr_text(pier_addr_raw(sa, sizeof sa)).text) < sizeof(pier_text));
    /* getsockname(2) ends with the hardware address */
    sa[11] = 6;
    assert_text(pier_addr_raw(sa, 18),
        "packet(#1, protocol 0x0800, type 0, hardware 32 00:01:02:03:04:05)");
}

TEST(can_waits_for_its_interface)
{
    pier_addr a = pier_can("can0");
    assert_int_equal(a.pending, PIER_ADDR_INTERFACE);
    assert_text(a, "can(can0)");
    assert_int_equal(pier__addr_set_interface(&a, 3), 0);
    assert_bytes(a, "1d00000003000000"
                    "00000000000000000000000000000000");
    assert_text(a, "can(#3)");
}

TEST(can_of_every_interface_is_complete)
{
    assert_bytes(pier_can(""), "1d00000000000000"
                               "00000000000000000000000000000000");
    assert_bytes(pier_can_isotp("", 0x123, 0x456), "1d00000000000000"
                                                   "2301000056040000"
                                                   "0000000000000000");
    assert_bytes(pier_can_j1939("", 0x0102030405060708, 0x3ffff, 0x20), "1d00000000000000"
                                                                        "0807060504030201"
                                                                        "ffff030020000000");
    assert_text(pier_can_isotp("", 0x123, 0x456), "can(any, rx 0x123, tx 0x456)");
    assert_text(pier_can_j1939("can0", 5, 6, 7), "can(can0, name 0x5, pgn 0x6, address 0x7)");
}

TEST(can_keeps_its_identifiers_while_it_waits)
{
    pier_addr a = pier_can_isotp("can0", 0x123, 0x456);
    assert_int_equal(pier__addr_set_interface(&a, 3), 0);
    assert_bytes(a, "1d00000003000000"
                    "2301000056040000"
                    "0000000000000000");
    a = pier_can_j1939("can0", 1, 2, 3);
    assert_int_equal(pier__addr_set_interface(&a, 3), 0);
    assert_bytes(a, "1d00000003000000"
                    "0100000000000000"
                    "0200000003000000");
    assert_int_equal(pier_can("abcdefghijklmnop").error, PIER_EIFNAMELEN);
    assert_int_equal(pier_can("can 0").error, PIER_EIPTEXT);
    assert_int_equal(pier_can(NULL).error, -EINVAL);
    assert_int_equal(pier_can_isotp(NULL, 1, 2).error, -EINVAL);
    assert_int_equal(pier_can_j1939(NULL, 1, 2, 3).error, -EINVAL);
}

TEST(no_other_address_waits_for_an_interface)
{
    pier_addr a = pier_inet("example.com", 80);
    assert_int_equal(pier__addr_set_interface(&a, 1), PIER_EFAMILY);
    assert_int_equal(a.pending, PIER_ADDR_HOST);
}

TEST(tipc_has_three_shapes)
{
    assert_bytes(
        pier_tipc(TIPC_ADDR_NAMESEQ, 1, 2, 3, TIPC_ZONE_SCOPE), "1e000101010000000200000003000000");
    assert_bytes(
        pier_tipc(TIPC_ADDR_NAME, 1, 2, 3, TIPC_CLUSTER_SCOPE), "1e000202010000000200000000000000");
    assert_bytes(pier_tipc(TIPC_ADDR_ID, 1, 2, 3, -TIPC_NODE_SCOPE), "1e0003fd0200000001000000"
                                                                     "00000000");
    assert_text(pier_tipc(TIPC_ADDR_NAMESEQ, 1, 2, 3, 2), "tipc(names 1 2-3, scope 2)");
    assert_text(pier_tipc(TIPC_ADDR_NAME, 1, 2, 3, 2), "tipc(name 1 2, scope 2)");
    assert_text(pier_tipc(TIPC_ADDR_ID, 1, 2, 3, -3), "tipc(node 0x1 ref 2, scope -3)");
    assert_int_equal(pier_tipc(0, 1, 2, 3, 2).error, -EINVAL);
    assert_int_equal(pier_tipc(4, 1, 2, 3, 2).error, -EINVAL);
    assert_int_equal(pier_tipc(TIPC_ADDR_ID, 1, 2, 3, 4).error, -EINVAL);
    assert_int_equal(pier_tipc(TIPC_ADDR_ID, 1, 2, 3, -4).error, -EINVAL);
}

TEST(alg_names_must_leave_room_for_their_nul)
{
    pier_addr a = pier_alg("hash", "sha256", 1, 2);
    assert_int_equal(a.error, 0);
    assert_int_equal(a.length, 88);
    assert_memory_equal(&a.sa, "\x26\0hash\0\0\0\0\0\0\0\0\0\0\1\0\0\0\2\0\0\0sha256\0", 31);
    assert_text(a, "alg(hash, sha256, feat 0x1, mask 0x2)");
    assert_text(pier_alg("aead", "gcm(aes)", 0, 0), "alg(aead, gcm(aes))");
    assert_text(pier_alg("a\n", "b", 0, 0), "alg(a\\x0a, b)");
    assert_int_equal(pier_alg("1234567890123", "x", 0, 0).error, 0);
    assert_int_equal(pier_alg("12345678901234", "x", 0, 0).error, PIER_EALGTYPE);
    char name[65] = "";
    memset(name, 'n', 63);
    assert_int_equal(pier_alg("hash", name, 0, 0).error, 0);
    name[63] = 'n';
    assert_int_equal(pier_alg("hash", name, 0, 0).error, PIER_EALGNAME);
    assert_int_equal(pier_alg(NULL, "x", 0, 0).error, -EINVAL);
    assert_int_equal(pier_alg("x", NULL, 0, 0).error, -EINVAL);
}

TEST(qipcrtr_is_a_node_and_a_port)
{
    assert_bytes(pier_qipcrtr(0x01020304, 0xfffffffe), "2a00000004030201feffffff");
    assert_text(pier_qipcrtr(1, 2), "qipcrtr(node 1, port 2)");
}

TEST(vsock_is_a_port_and_a_context)
{
    assert_bytes(pier_vsock(2, 1024), "28000000000400000200000000000000");
}

/*
 * Written by hand from the kernel's include/net/bluetooth: not every Python knows Bluetooth, and
 * 3.11 sets neither the cid and type of L2CAP nor the channel of HCI.
 */

TEST(bluetooth_addresses_are_those_of_the_kernel)
{
    assert_bytes(pier_l2cap("11:22:33:44:55:66", 0x1001, 0x0040, 2), "1f00"
                                                                     "0110"
                                                                     "665544332211"
                                                                     "4000"
                                                                     "02"
                                                                     "00");
    assert_bytes(pier_rfcomm("11:22:33:44:55:66", 30), "1f00"
                                                       "665544332211"
                                                       "1e"
                                                       "00");
    assert_bytes(pier_hci(1, 3), "1f00"
                                 "0100"
                                 "0300");
    assert_bytes(pier_sco("11:22:33:44:55:66"), "1f00"
                                                "665544332211");
}

TEST(bluetooth_addresses_are_shown_by_their_length)
{
    assert_text(pier_l2cap("11:22:33:44:55:66", 0x1001, 0x40, 2),
        "l2cap(11:22:33:44:55:66, psm 0x1001, cid 0x40, type 2)");
    assert_text(pier_rfcomm("1:2:3:4:5:6", 30), "rfcomm(01:02:03:04:05:06, channel 30)");
    assert_text(pier_hci(0xffff, 3), "hci(device 65535, channel 3)");
    assert_text(pier_sco("AA:bb:cC:00:0:f"), "sco(aa:bb:cc:00:00:0f)");
    assert_text(pier_addr_raw("\x1f\0\1\2\3\4\5", 7), "AF_BLUETOOTH(01:02:03:04:05)");
    assert_text(pier_addr_raw("\x1f\0\1", 3), "AF_BLUETOOTH(01)");
    assert_string_equal(
        pier_addr_host(pier_l2cap("11:22:33:44:55:66", 1, 2, 0)).text, "11:22:33:44:55:66");
    assert_string_equal(pier_addr_host(pier_rfcomm("1:2:3:4:5:6", 1)).text, "01:02:03:04:05:06");
    assert_string_equal(pier_addr_host(pier_sco("1:2:3:4:5:6")).text, "01:02:03:04:05:06");
    assert_string_equal(pier_addr_host(pier_hci(1, 2)).text, "");
}

TEST(a_bluetooth_address_is_six_hexadecimal_bytes)
{
    static const char *const bad[] = {"", "11", "11:22:33:44:55", "11:22:33:44:55:66:77",
        "11:22:33:44:55:66:", ":11:22:33:44:55:66", "11:22:33:44:55:6g", "111:22:33:44:55:66",
        "11-22-33-44-55-66", "112233445566", " 11:22:33:44:55:66", "11:22:33:44:55:66 ",
        "11::33:44:55:66", "11:22:33:44:55:", "0x11:22:33:44:55:66", "+1:22:33:44:55:66"};
    for (size_t i = 0; i < PIER_COUNT(bad); i++) {
        pier_bdaddr out = {{9, 9, 9, 9, 9, 9}};
        assert_int_equal(pier_bdaddr_parse(bad[i], &out), PIER_EBDADDR);
        assert_int_equal(out.b[0] + out.b[5], 18);
        assert_int_equal(pier_l2cap(bad[i], 1, 2, 0).error, PIER_EBDADDR);
        assert_int_equal(pier_rfcomm(bad[i], 1).error, PIER_EBDADDR);
        assert_int_equal(pier_sco(bad[i]).error, PIER_EBDADDR);
    }
    pier_bdaddr out;
    assert_int_equal(pier_bdaddr_parse("1:22:33:44:55:Ff", &out), 0);
    assert_memory_equal(out.b, "\xff\x55\x44\x33\x22\x01", 6);
    assert_int_equal(pier_bdaddr_parse(NULL, &out), -EINVAL);
    assert_int_equal(pier_sco(NULL).error, -EINVAL);
}

TEST(x25_is_one_to_fifteen_digits)
{
    assert_bytes(pier_x25("123456789012345"), "0900"
                                              "31323334353637383930313233343500");
    assert_bytes(pier_x25("1"), "0900"
                                "31000000000000000000000000000000");
    assert_text(pier_x25("0123"), "x25(0123)");
    static const char *const bad[] = {"", "1234567890123456", "12a", " 12", "12 ", "-1", "*"};
    for (size_t i = 0; i < PIER_COUNT(bad); i++)
        assert_int_equal(pier_x25(bad[i]).error, PIER_EX25ADDR);
    assert_int_equal(pier_x25(NULL).error, -EINVAL);
}

TEST(what_is_shorter_than_its_fields_is_shown_as_bytes)
{
    for (int family = 0; family < 50; family++) {
        unsigned char bytes[sizeof(struct sockaddr_storage)] = {(unsigned char)family};
        for (socklen_t length = 2; length <= sizeof bytes; length++) {
            pier_addr a = pier_addr_raw(bytes, length);
            assert_true(strlen(pier_addr_text(a).text) > 0);
            (void)pier_addr_host(a);
            (void)pier_addr_port(a);
            assert_true(pier_addr_equal(a, a));
        }
        memset(bytes + 2, 0xff, sizeof bytes - 2);
        assert_true(strlen(pier_addr_text(pier_addr_raw(bytes, sizeof bytes)).text) > 0);
    }
    assert_text(pier_addr_raw("\x10\0\1\2", 4), "AF_NETLINK(01:02)");
    assert_text(pier_addr_raw("\x2c\0\1\2", 4), "AF_XDP(01:02)");
    assert_text(pier_addr_raw("\0\0", 2), "AF_UNSPEC()");
}

TEST(families_are_named_as_in_python)
{
    assert_string_equal(pier_family_name(AF_UNSPEC), "AF_UNSPEC");
    assert_string_equal(pier_family_name(AF_UNIX), "AF_UNIX");
    assert_string_equal(pier_family_name(AF_LOCAL), "AF_UNIX");
    assert_string_equal(pier_family_name(AF_INET), "AF_INET");
    assert_string_equal(pier_family_name(AF_INET6), "AF_INET6");
    assert_string_equal(pier_family_name(AF_ROUTE), "AF_NETLINK");
    assert_string_equal(pier_family_name(AF_BLUETOOTH), "AF_BLUETOOTH");
    for (int family = 0; family <= AF_MCTP; family++)
        assert_memory_equal(pier_family_name(family), "AF_", 3);
    assert_null(pier_family_name(-1));
    assert_null(pier_family_name(AF_MCTP + 1));
    assert_null(pier_family_name(99999));
}
