// SPDX-License-Identifier: Apache-2.0
// 128-bit integers, a compiler extension: for exact products and for sums that must not wrap.
#pragma once

__extension__ typedef __int128 wide_signed;
__extension__ typedef unsigned __int128 wide_unsigned;
