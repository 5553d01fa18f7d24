/* SPDX-License-Identifier: MIT */
/* Addresses of the families that have no text form: made, and shown to people. */
#include "base/addr.h"
#include "base/addr_text.h"
#include "base/bits.h"
#include "base/inet.h"
#include "base/missing.h"

#include <pier/error.h>

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/can.h>
#include <linux/if_alg.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/qrtr.h>
#include <linux/tipc.h>
#include <linux/x25.h>
#include <net/if.h>
#include <string.h>

/*
 * sockaddr_ll's own array holds 8; the kernel lets longer hardware addresses (InfiniBand: 20) run
 * on.
 */
#define HWADDR_AT offsetof(struct sockaddr_ll, sll_addr)

/* Making. */

pier_addr pier_netlink(uint32_t pid, uint32_t groups)
{
    struct sockaddr_nl sa = {.nl_family = AF_NETLINK, .nl_pid = pid, .nl_groups = groups};
    return pier__addr_from_bytes(&sa, sizeof sa);
}

/* Make *a wait for an interface, unless "" says that any will do. */
static pier_addr on_interface(pier_addr a, const char *interface)
{
    if (!*interface) return a;
    int err = pier__interface_check(interface);
    if (err < 0) return pier_addr_failed(err);
    memcpy(a.host, interface, strlen(interface) + 1);
    a.pending = PIER_ADDR_INTERFACE;
    a.length = 0;
    return a;
}

pier_addr pier_packet(const char *interface, int protocol, uint8_t pkttype, uint16_t hatype,
    const void *hwaddr, size_t hwlen)
{
    struct sockaddr_ll sa = {.sll_family = AF_PACKET, .sll_hatype = hatype, .sll_pkttype = pkttype};
    if (!interface || (!hwaddr && hwlen > 0)) return pier_addr_failed(-EINVAL);
    if (protocol < 0 || protocol > UINT16_MAX) return pier_addr_failed(PIER_ERANGE);
    if (hwlen > sizeof sa.sll_addr) return pier_addr_failed(PIER_EHWADDRLEN);
    sa.sll_protocol = htons((uint16_t)protocol);
    sa.sll_halen = (uint8_t)hwlen;
    if (hwlen > 0) memcpy(sa.sll_addr, hwaddr, hwlen);
    return on_interface(pier__addr_from_bytes(&sa, sizeof sa), interface);
}

static pier_addr can(const char *interface, const struct sockaddr_can *sa)
{
    if (!interface) return pier_addr_failed(-EINVAL);
    return on_interface(pier__addr_from_bytes(sa, sizeof *sa), interface);
}

pier_addr pier_can(const char *interface)
{
    struct sockaddr_can sa;
    memset(&sa, 0, sizeof sa);
    sa.can_family = AF_CAN;
    return can(interface, &sa);
}

pier_addr pier_can_isotp(const char *interface, uint32_t rx_id, uint32_t tx_id)
{
    struct sockaddr_can sa;
    memset(&sa, 0, sizeof sa);
    sa.can_family = AF_CAN;
    sa.can_addr.tp.rx_id = rx_id;
    sa.can_addr.tp.tx_id = tx_id;
    return can(interface, &sa);
}

pier_addr pier_can_j1939(const char *interface, uint64_t name, uint32_t pgn, uint8_t address)
{
    struct sockaddr_can sa;
    memset(&sa, 0, sizeof sa);
    sa.can_family = AF_CAN;
    sa.can_addr.j1939.name = name;
    sa.can_addr.j1939.pgn = pgn;
    sa.can_addr.j1939.addr = address;
    return can(interface, &sa);
}

int pier__addr_set_interface(pier_addr *a, unsigned index)
{
    if (!(a->pending & PIER_ADDR_INTERFACE)) return PIER_EFAMILY;
    if (a->sa.any.sa_family == AF_PACKET) {
        struct sockaddr_ll ll;
        memcpy(&ll, &a->sa, sizeof ll);
        ll.sll_ifindex = (int)index;
        *a = pier__addr_from_bytes(&ll, sizeof ll);
    } else {
        struct sockaddr_can sa;
        memcpy(&sa, &a->sa, sizeof sa);
        sa.can_ifindex = (int)index;
        *a = pier__addr_from_bytes(&sa, sizeof sa);
    }
    return 0;
}

pier_addr pier_tipc(int type, uint32_t v1, uint32_t v2, uint32_t v3, int scope)
{
    if (scope < -TIPC_NODE_SCOPE || scope > TIPC_NODE_SCOPE) return pier_addr_failed(-EINVAL);
    struct sockaddr_tipc sa;
    memset(&sa, 0, sizeof sa);
    sa.family = AF_TIPC;
    sa.scope = (signed char)scope;
    switch (type) {
    case TIPC_ADDR_NAMESEQ:
        sa.addrtype = TIPC_ADDR_NAMESEQ;
        sa.addr.nameseq.type = v1;
        sa.addr.nameseq.lower = v2;
        sa.addr.nameseq.upper = v3;
        break;
    case TIPC_ADDR_NAME: /* v3, the domain, is 0 for Python whatever it is given */
        sa.addrtype = TIPC_ADDR_NAME;
        sa.addr.name.name.type = v1;
        sa.addr.name.name.instance = v2;
        break;
    case TIPC_ADDR_ID:
        sa.addrtype = TIPC_ADDR_ID;
        sa.addr.id.node = v1;
        sa.addr.id.ref = v2;
        break;
    default: return pier_addr_failed(-EINVAL);
    }
    return pier__addr_from_bytes(&sa, sizeof sa);
}

pier_addr pier_alg(const char *type, const char *name, uint32_t feat, uint32_t mask)
{
    struct sockaddr_alg sa = {.salg_family = AF_ALG, .salg_feat = feat, .salg_mask = mask};
    if (!type || !name) return pier_addr_failed(-EINVAL);
    if (strlen(type) >= sizeof sa.salg_type) return pier_addr_failed(PIER_EALGTYPE);
    if (strlen(name) >= sizeof sa.salg_name) return pier_addr_failed(PIER_EALGNAME);
    memcpy(sa.salg_type, type, strlen(type));
    memcpy(sa.salg_name, name, strlen(name));
    return pier__addr_from_bytes(&sa, sizeof sa);
}

pier_addr pier_qipcrtr(uint32_t node, uint32_t port)
{
    struct sockaddr_qrtr sa;
    memset(&sa, 0, sizeof sa); /* two bytes of padding before the node */
    sa.sq_family = AF_QIPCRTR;
    sa.sq_node = node;
    sa.sq_port = port;
    return pier__addr_from_bytes(&sa, sizeof sa);
}

int pier_bdaddr_parse(const char *text, pier_bdaddr *out)
{
    pier_bdaddr address;
    if (!text || !out) return -EINVAL;
    for (size_t i = sizeof address.b; i-- > 0;) {
        int value = pier__hex(*text);
        if (value < 0) return PIER_EBDADDR;
        text++;
        int low = pier__hex(*text);
        if (low >= 0) {
            value = value << 4 | low;
            text++;
        }
        address.b[i] = (uint8_t)value;
        if (*text != (i > 0 ? ':' : '\0')) return PIER_EBDADDR;
        text++;
    }
    *out = address;
    return 0;
}

pier_addr pier_l2cap(const char *bdaddr, uint16_t psm, uint16_t cid, uint8_t bdaddr_type)
{
    struct pier__sockaddr_l2 sa;
    memset(&sa, 0, sizeof sa);
    sa.family = AF_BLUETOOTH;
    sa.psm_le = htole16(psm);
    sa.cid_le = htole16(cid);
    sa.bdaddr_type = bdaddr_type;
    int err = pier_bdaddr_parse(bdaddr, &sa.bdaddr);
    return err < 0 ? pier_addr_failed(err) : pier__addr_from_bytes(&sa, sizeof sa);
}

pier_addr pier_rfcomm(const char *bdaddr, uint8_t channel)
{
    struct pier__sockaddr_rc sa;
    memset(&sa, 0, sizeof sa);
    sa.family = AF_BLUETOOTH;
    sa.channel = channel;
    int err = pier_bdaddr_parse(bdaddr, &sa.bdaddr);
    return err < 0 ? pier_addr_failed(err) : pier__addr_from_bytes(&sa, sizeof sa);
}

pier_addr pier_hci(uint16_t device, uint16_t channel)
{
    struct pier__sockaddr_hci sa = {AF_BLUETOOTH, device, channel};
    return pier__addr_from_bytes(&sa, sizeof sa);
}

pier_addr pier_sco(const char *bdaddr)
{
    struct pier__sockaddr_sco sa = {.family = AF_BLUETOOTH};
    int err = pier_bdaddr_parse(bdaddr, &sa.bdaddr);
    return err < 0 ? pier_addr_failed(err) : pier__addr_from_bytes(&sa, sizeof sa);
}

pier_addr pier_x25(const char *digits)
{
    struct sockaddr_x25 sa = {.sx25_family = AF_X25};
    if (!digits) return pier_addr_failed(-EINVAL);
    size_t length = strspn(digits, "0123456789");
    if (length == 0 || digits[length] || length >= sizeof sa.sx25_addr.x25_addr) {
        return pier_addr_failed(PIER_EX25ADDR);
    }
    memcpy(sa.sx25_addr.x25_addr, digits, length);
    return pier__addr_from_bytes(&sa, sizeof sa);
}

/* Showing. No system call is made, so that an interface is its number. */

static void put_interface(struct pier__text *t, const pier_addr *a, int index)
{
    if (a->pending) {
        pier__text_format(t, "%s", a->host);
    } else if (index == 0) {
        pier__text_format(t, "any");
    } else {
        pier__text_format(t, "#%u", (unsigned)index);
    }
}

static void put_packet(struct pier__text *t, const pier_addr *a)
{
    struct sockaddr_ll ll;
    memcpy(&ll, &a->sa, sizeof ll);
    pier__text_format(t, "packet(");
    put_interface(t, a, ll.sll_ifindex);
    pier__text_format(t, ", protocol 0x%04x, type %u, hardware %u", ntohs(ll.sll_protocol),
        ll.sll_pkttype, ll.sll_hatype);
    size_t length = ll.sll_halen;
    if (length > sizeof a->sa - HWADDR_AT) length = sizeof a->sa - HWADDR_AT;
    if (length > 0) {
        pier__text_format(t, " ");
        pier__put_hex(t, (const char *)&a->sa + HWADDR_AT, length);
    }
    pier__text_format(t, ")");
}

/* Which protocol the address is for only its socket knows; what is not zero tells enough. */
static void put_can(struct pier__text *t, const pier_addr *a)
{
    struct sockaddr_can sa;
    memcpy(&sa, &a->sa, sizeof sa);
    pier__text_format(t, "can(");
    put_interface(t, a, sa.can_ifindex);
    if (sa.can_addr.j1939.pgn != 0 || sa.can_addr.j1939.addr != 0) {
        pier__text_format(t, ", name 0x%llx, pgn 0x%x, address 0x%x",
            (unsigned long long)sa.can_addr.j1939.name, sa.can_addr.j1939.pgn,
            sa.can_addr.j1939.addr);
    } else if (sa.can_addr.j1939.name != 0) {
        pier__text_format(t, ", rx 0x%x, tx 0x%x", sa.can_addr.tp.rx_id, sa.can_addr.tp.tx_id);
    }
    pier__text_format(t, ")");
}

static void put_netlink(struct pier__text *t, const pier_addr *a)
{
    struct sockaddr_nl nl;
    memcpy(&nl, &a->sa, sizeof nl);
    pier__text_format(t, "netlink(pid %u, groups 0x%x)", nl.nl_pid, nl.nl_groups);
}

static void put_tipc(struct pier__text *t, const pier_addr *a)
{
    struct sockaddr_tipc sa;
    memcpy(&sa, &a->sa, sizeof sa);
    switch (sa.addrtype) {
    case TIPC_ADDR_NAMESEQ:
        pier__text_format(t, "tipc(names %u %u-%u", sa.addr.nameseq.type, sa.addr.nameseq.lower,
            sa.addr.nameseq.upper);
        break;
    case TIPC_ADDR_NAME:
        pier__text_format(t, "tipc(name %u %u", sa.addr.name.name.type, sa.addr.name.name.instance);
        break;
    default: pier__text_format(t, "tipc(node 0x%x ref %u", sa.addr.id.node, sa.addr.id.ref); break;
    }
    pier__text_format(t, ", scope %d)", sa.scope);
}

static void put_alg(struct pier__text *t, const pier_addr *a)
{
    struct sockaddr_alg sa;
    memcpy(&sa, &a->sa, sizeof sa);
    const char *type = (const char *)sa.salg_type, *name = (const char *)sa.salg_name;
    pier__text_format(t, "alg(");
    pier__put_escaped(t, type, strnlen(type, sizeof sa.salg_type));
    pier__text_format(t, ", ");
    pier__put_escaped(t, name, strnlen(name, sizeof sa.salg_name));
    if (sa.salg_feat || sa.salg_mask) {
        pier__text_format(t, ", feat 0x%x, mask 0x%x", sa.salg_feat, sa.salg_mask);
    }
    pier__text_format(t, ")");
}

static void put_qipcrtr(struct pier__text *t, const pier_addr *a)
{
    struct sockaddr_qrtr sa;
    memcpy(&sa, &a->sa, sizeof sa);
    pier__text_format(t, "qipcrtr(node %u, port %u)", sa.sq_node, sa.sq_port);
}

static void put_x25(struct pier__text *t, const pier_addr *a)
{
    struct sockaddr_x25 sa;
    memcpy(&sa, &a->sa, sizeof sa);
    pier__text_format(t, "x25(");
    pier__put_escaped(t, sa.sx25_addr.x25_addr, strnlen(sa.sx25_addr.x25_addr, 16));
    pier__text_format(t, ")");
}

static void put_bdaddr(struct pier__text *t, const pier_bdaddr *bdaddr)
{
    pier_bdaddr reversed;
    for (size_t i = 0; i < sizeof reversed.b; i++) {
        reversed.b[i] = bdaddr->b[sizeof reversed.b - 1 - i];
    }
    pier__put_hex(t, reversed.b, sizeof reversed.b);
}

/* Where the device address lies tells the length, in which the four protocols differ. */
static size_t bdaddr_at(const pier_addr *a)
{
    switch (a->length) {
    case sizeof(struct pier__sockaddr_l2): return offsetof(struct pier__sockaddr_l2, bdaddr);
    case sizeof(struct pier__sockaddr_rc): return offsetof(struct pier__sockaddr_rc, bdaddr);
    case sizeof(struct pier__sockaddr_sco): return offsetof(struct pier__sockaddr_sco, bdaddr);
    default: return 0;
    }
}

void pier__put_family_host(struct pier__text *t, const pier_addr *a)
{
    size_t at = a->sa.any.sa_family == AF_BLUETOOTH ? bdaddr_at(a) : 0;
    if (at == 0) return;
    pier_bdaddr bdaddr;
    memcpy(&bdaddr, (const char *)&a->sa + at, sizeof bdaddr);
    put_bdaddr(t, &bdaddr);
}

static void put_raw(struct pier__text *t, const pier_addr *a)
{
    const char *name = pier_family_name(a->sa.any.sa_family);
    if (name) {
        pier__text_format(t, "%s(", name);
    } else {
        pier__text_format(t, "family %u(", a->sa.any.sa_family);
    }
    if (a->length > sizeof(sa_family_t)) {
        pier__put_hex(
            t, (const char *)&a->sa + sizeof(sa_family_t), a->length - sizeof(sa_family_t));
    }
    pier__text_format(t, ")");
}

static void put_bluetooth(struct pier__text *t, const pier_addr *a)
{
    struct pier__sockaddr_l2 l2;
    struct pier__sockaddr_rc rc;
    struct pier__sockaddr_hci hci;
    memcpy(&l2, &a->sa, sizeof l2);
    memcpy(&rc, &a->sa, sizeof rc);
    memcpy(&hci, &a->sa, sizeof hci);
    switch (a->length) {
    case sizeof l2:
        pier__text_format(t, "l2cap(");
        put_bdaddr(t, &l2.bdaddr);
        pier__text_format(t, ", psm 0x%x, cid 0x%x, type %u)", le16toh(l2.psm_le),
            le16toh(l2.cid_le), l2.bdaddr_type);
        break;
    case sizeof rc:
        pier__text_format(t, "rfcomm(");
        put_bdaddr(t, &rc.bdaddr);
        pier__text_format(t, ", channel %u)", rc.channel);
        break;
    case sizeof hci:
        pier__text_format(t, "hci(device %u, channel %u)", hci.device, hci.channel);
        break;
    case sizeof(struct pier__sockaddr_sco):
        pier__text_format(t, "sco(");
        put_bdaddr(t, &rc.bdaddr);
        pier__text_format(t, ")");
        break;
    default: put_raw(t, a); break;
    }
}

/* What is shorter than its fields is shown as bytes. */
static const struct {
    int family;
    size_t least;
    void (*put)(struct pier__text *t, const pier_addr *a);
} families[] = {
    {AF_NETLINK, sizeof(struct sockaddr_nl), put_netlink},
    {AF_PACKET, HWADDR_AT, put_packet},
    {AF_CAN, offsetof(struct sockaddr_can, can_addr), put_can},
    {AF_TIPC, sizeof(struct sockaddr_tipc), put_tipc},
    {AF_ALG, offsetof(struct sockaddr_alg, salg_name), put_alg},
    {AF_QIPCRTR, sizeof(struct sockaddr_qrtr), put_qipcrtr},
    {AF_BLUETOOTH, sizeof(struct pier__sockaddr_hci), put_bluetooth},
    {AF_X25, sizeof(sa_family_t) + 1, put_x25},
};

void pier__put_family(struct pier__text *t, const pier_addr *a)
{
    for (size_t i = 0; i < PIER_COUNT(families); i++) {
        if (families[i].family == a->sa.any.sa_family &&
            (a->pending || a->length >= families[i].least)) {
            families[i].put(t, a);
            return;
        }
    }
    put_raw(t, a);
}

/* Families. */

#define NAME(family) [AF_##family] = "AF_" #family

static const char *const names[] = {
    NAME(UNSPEC),
    NAME(UNIX),
    NAME(INET),
    NAME(AX25),
    NAME(IPX),
    NAME(APPLETALK),
    NAME(NETROM),
    NAME(BRIDGE),
    NAME(ATMPVC),
    NAME(X25),
    NAME(INET6),
    NAME(ROSE),
    NAME(DECnet),
    NAME(NETBEUI),
    NAME(SECURITY),
    NAME(KEY),
    NAME(NETLINK),
    NAME(PACKET),
    NAME(ASH),
    NAME(ECONET),
    NAME(ATMSVC),
    NAME(RDS),
    NAME(SNA),
    NAME(IRDA),
    NAME(PPPOX),
    NAME(WANPIPE),
    NAME(LLC),
    NAME(IB),
    NAME(MPLS),
    NAME(CAN),
    NAME(TIPC),
    NAME(BLUETOOTH),
    NAME(IUCV),
    NAME(RXRPC),
    NAME(ISDN),
    NAME(PHONET),
    NAME(IEEE802154),
    NAME(CAIF),
    NAME(ALG),
    NAME(NFC),
    NAME(VSOCK),
    NAME(KCM),
    NAME(QIPCRTR),
    NAME(SMC),
    NAME(XDP),
    NAME(MCTP),
};

const char *pier_family_name(int family)
{
    return family >= 0 && (size_t)family < PIER_COUNT(names) ? names[family] : NULL;
}
