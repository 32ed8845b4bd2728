// SPDX-License-Identifier: Apache-2.0
// The counter service: an HTTP API over counters, heartbeats of real-time nodes into presence, and
// changes of counts out to those nodes. It knows the database by RESP only, as anyone's own service
// would.
//
// service_run serves until SIGTERM or SIGINT, then drains. It says on stderr when it is ready:
//   quipu service: ready, HTTP on HOST:PORT, heartbeats on HOST:PORT
// with the ports the kernel chose where 0 was asked for.
#pragma once
#include "os/tcp.h"
#include "os/tls.h"

struct service_options {              // all borrowed until service_run returns
    struct endpoint db;               // RESP
    struct endpoint listen;           // HTTP; port 0: the kernel's choice
    struct endpoint heartbeat_listen; // UDP; likewise
    struct tls_options tls;           // with a certificate HTTP speaks it; else for what is dialed
    bool is_db_tls;                   // the database speaks TLS
    struct span db_user, db_password; // said by AUTH; user empty: it is not
    bool is_db_user_optional;         // the database may not know it, and ask for none
    struct span secret;               // of heartbeats and of PUTs; empty: neither is signed
};

// 0 after an orderly drain (a second signal ends it at once); -errno when it cannot start, after
// saying why on stderr. It starts without its database too, and answers 503 until that is there.
int service_run(const struct service_options *options);
