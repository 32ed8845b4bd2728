// SPDX-License-Identifier: Apache-2.0
// Certificates for tests, made on the spot: a directory with an authority, another one, and what
// they have signed, as PEM files.
#pragma once

#define CERTIFICATES_PATH 128

struct certificates {
    char directory[CERTIFICATES_PATH];
};

void certificates_make(struct certificates *certificates);
void certificates_remove(struct certificates *certificates);
// "ca.crt", "other-ca.crt"; "good", "expired", "named", "stranger" with .crt and .key. All are for
// 127.0.0.1 but "named", which is for quipu.example; "stranger" is the other authority's.
const char *certificates_path(struct certificates *certificates, const char *name,
                              char to[CERTIFICATES_PATH]);
