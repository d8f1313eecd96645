// SPDX-License-Identifier: Apache-2.0
// What the processes of a soak do. Times are CLOCK_MONOTONIC's, in ns: the same in all of them.
//
// A *steady* pair sends and receives a little all the time, and notices when somebody else's
// joining, leaving, dying or freezing costs it more than it should. Told apart from what the
// scheduler does to it:
//  - a call: the time in rte_eth_tx_burst or rx_burst less the time that the thread was runnable
//  but had
//    no CPU (/proc/thread-self/schedstat);
//  - a delivery: a frame whose sender's call has returned must be in the next poll. How long after
//  that
//    return the last poll began that did not find it is its lateness, whatever the CPUs did
//    meanwhile.
//
// The others *mingle*: bursts of any size to those they know, to those they do not, and to all.
#pragma once

#include "control.hpp"
#include "ports.hpp"

#include <cstdint>

namespace traffic {

void steady_source(const Ports &ports, const Control &control);
void steady_sink(const Ports &ports, const Control &control);
// As the `number`th of `others` whom it knows.
void mingle(const Ports &ports, const Control &control, unsigned number, unsigned others);

} // namespace traffic
