// SPDX-License-Identifier: Apache-2.0
// Privileged instructions that may be refused: false if they raised an exception.
#pragma once

#include "cpu.hpp"

namespace attack::privileged {

bool cr0(u64 value);
bool cr4(u64 value);
bool wrmsr(u32 msr, u64 value);
bool rdmsr(u32 msr, u64 &value);
bool lidt(const TablePointer &table);
bool lgdt(const TablePointer &table);
bool lldt(u16 selector);
bool ltr(u16 selector);

} // namespace attack::privileged
