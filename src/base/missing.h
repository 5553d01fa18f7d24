/* SPDX-License-Identifier: MIT */
#ifndef PIER_BASE_MISSING_H
#define PIER_BASE_MISSING_H

#include <pier/addr.h>

#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>

/*
 * What the kernel has and the system's headers lack. Bluetooth's addresses are not among the
 * exported headers of Linux at all (they come with BlueZ's library); these follow the kernel's
 * include/net/bluetooth/{l2cap,rfcomm,hci_sock,sco}.h. Multi-byte numbers marked le are
 * little-endian everywhere.
 */

struct pier__sockaddr_l2 {
    sa_family_t family;
    uint16_t psm_le;
    pier_bdaddr bdaddr;
    uint16_t cid_le;
    uint8_t bdaddr_type;
};

struct pier__sockaddr_rc {
    sa_family_t family;
    pier_bdaddr bdaddr;
    uint8_t channel;
};

struct pier__sockaddr_hci {
    sa_family_t family;
    uint16_t device;
    uint16_t channel;
};

struct pier__sockaddr_sco {
    sa_family_t family;
    pier_bdaddr bdaddr;
};

_Static_assert(sizeof(struct pier__sockaddr_l2) == 14, "as in the kernel");
_Static_assert(sizeof(struct pier__sockaddr_rc) == 10, "as in the kernel");
_Static_assert(sizeof(struct pier__sockaddr_hci) == 6, "as in the kernel");
_Static_assert(sizeof(struct pier__sockaddr_sco) == 8, "as in the kernel");

/*
 * Numbers that came to Linux after 6.1, the headers of Debian 12, and those of Bluetooth and
 * amateur radio. Include the system's headers first: what they define stays.
 */
#ifndef SOL_AX25
#    define SOL_AX25 257
#endif
#ifndef SOL_HCI
#    define SOL_HCI 0
#endif
#ifndef SOL_L2CAP
#    define SOL_L2CAP 6
#endif
#ifndef SOL_NETROM
#    define SOL_NETROM 259
#endif
#ifndef SOL_RFCOMM
#    define SOL_RFCOMM 18
#endif
#ifndef SOL_ROSE
#    define SOL_ROSE 260
#endif
#ifndef SOL_SCO
#    define SOL_SCO 17
#endif

#ifndef SO_PASSPIDFD
#    define SO_PASSPIDFD 76
#endif
#ifndef SO_PEERPIDFD
#    define SO_PEERPIDFD 77
#endif
#ifndef SO_DEVMEM_LINEAR
#    define SO_DEVMEM_LINEAR 78
#endif
#ifndef SO_DEVMEM_DMABUF
#    define SO_DEVMEM_DMABUF 79
#endif
#ifndef SO_DEVMEM_DONTNEED
#    define SO_DEVMEM_DONTNEED 80
#endif
#ifndef SO_RCVPRIORITY
#    define SO_RCVPRIORITY 82
#endif
#ifndef SO_PASSRIGHTS
#    define SO_PASSRIGHTS 83
#endif
#ifndef SO_INQ
#    define SO_INQ 84
#endif
#ifndef SCM_PIDFD
#    define SCM_PIDFD 0x04
#endif

#ifndef TCP_AO_ADD_KEY
#    define TCP_AO_ADD_KEY 38
#endif
#ifndef TCP_AO_DEL_KEY
#    define TCP_AO_DEL_KEY 39
#endif
#ifndef TCP_AO_INFO
#    define TCP_AO_INFO 40
#endif
#ifndef TCP_AO_GET_KEYS
#    define TCP_AO_GET_KEYS 41
#endif
#ifndef TCP_AO_REPAIR
#    define TCP_AO_REPAIR 42
#endif
#ifndef TCP_IS_MPTCP
#    define TCP_IS_MPTCP 43
#endif
#ifndef TCP_RTO_MAX_MS
#    define TCP_RTO_MAX_MS 44
#endif
#ifndef TCP_RTO_MIN_US
#    define TCP_RTO_MIN_US 45
#endif
#ifndef TCP_DELACK_MAX_US
#    define TCP_DELACK_MAX_US 46
#endif
#ifndef MPTCP_FULL_INFO
#    define MPTCP_FULL_INFO 4
#endif
#ifndef UDPLITE_SEND_CSCOV
#    define UDPLITE_SEND_CSCOV 10
#endif
#ifndef UDPLITE_RECV_CSCOV
#    define UDPLITE_RECV_CSCOV 11
#endif
#ifndef ICMPV6_FILTER
#    define ICMPV6_FILTER 1
#endif

#ifndef IP_LOCAL_PORT_RANGE
#    define IP_LOCAL_PORT_RANGE 51
#endif
#ifndef IP_PROTOCOL
#    define IP_PROTOCOL 52
#endif
/* Those of linux/in6.h, which cannot be had beside netinet/in.h everywhere. */
#ifndef IPV6_FLOWINFO
#    define IPV6_FLOWINFO 11
#endif
#ifndef IPV6_FLOWLABEL_MGR
#    define IPV6_FLOWLABEL_MGR 32
#endif
#ifndef IPV6_FLOWINFO_SEND
#    define IPV6_FLOWINFO_SEND 33
#endif

#ifndef PACKET_VNET_HDR_SZ
#    define PACKET_VNET_HDR_SZ 24
#endif
#ifndef CAN_RAW_XL_VCID_OPTS
#    define CAN_RAW_XL_VCID_OPTS 8
#endif
#ifndef XDP_MAX_TX_SKB_BUDGET
#    define XDP_MAX_TX_SKB_BUDGET 9
#endif
#ifndef ALG_SET_KEY_BY_KEY_SERIAL
#    define ALG_SET_KEY_BY_KEY_SERIAL 7
#endif

#ifndef MADV_POPULATE_READ
#    define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif
#ifndef MADV_GUARD_INSTALL
#    define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif

#ifndef HCI_DATA_DIR
#    define HCI_DATA_DIR 1
#endif
#ifndef HCI_FILTER
#    define HCI_FILTER 2
#endif
#ifndef HCI_TIME_STAMP
#    define HCI_TIME_STAMP 3
#endif
#ifndef L2CAP_OPTIONS
#    define L2CAP_OPTIONS 1
#endif
#ifndef L2CAP_CONNINFO
#    define L2CAP_CONNINFO 2
#endif
#ifndef L2CAP_LM
#    define L2CAP_LM 3
#endif
#ifndef RFCOMM_CONNINFO
#    define RFCOMM_CONNINFO 2
#endif
#ifndef RFCOMM_LM
#    define RFCOMM_LM 3
#endif
#ifndef SCO_OPTIONS
#    define SCO_OPTIONS 1
#endif
#ifndef SCO_CONNINFO
#    define SCO_CONNINFO 2
#endif
#ifndef BT_SECURITY
#    define BT_SECURITY 4
#endif
#ifndef BT_DEFER_SETUP
#    define BT_DEFER_SETUP 7
#endif
#ifndef BT_FLUSHABLE
#    define BT_FLUSHABLE 8
#endif
#ifndef BT_POWER
#    define BT_POWER 9
#endif
#ifndef BT_CHANNEL_POLICY
#    define BT_CHANNEL_POLICY 10
#endif
#ifndef BT_VOICE
#    define BT_VOICE 11
#endif
#ifndef BT_SNDMTU
#    define BT_SNDMTU 12
#endif
#ifndef BT_RCVMTU
#    define BT_RCVMTU 13
#endif
#ifndef BT_PHY
#    define BT_PHY 14
#endif
#ifndef BT_MODE
#    define BT_MODE 15
#endif
#ifndef BT_PKT_STATUS
#    define BT_PKT_STATUS 16
#endif
#ifndef BT_ISO_QOS
#    define BT_ISO_QOS 17
#endif
#ifndef BT_CODEC
#    define BT_CODEC 19
#endif
#ifndef BT_ISO_BASE
#    define BT_ISO_BASE 20
#endif
#ifndef BT_PKT_SEQNUM
#    define BT_PKT_SEQNUM 22
#endif

#endif
