/* SPDX-License-Identifier: MIT */
#ifndef PIER_BASE_MISSING_H
#define PIER_BASE_MISSING_H

#include <pier/addr.h>

#include <stdint.h>
#include <sys/socket.h>

/*
 * What the kernel has and the system's headers lack. Bluetooth's addresses are not among the
 * exported headers of Linux at all (they come with BlueZ's library); these follow the kernel's
 * include/net/bluetooth/{l2cap,rfcomm,hci_sock,sco}.h. Multi-byte numbers marked le are little-endian
 * everywhere.
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

#endif
