// SPDX-License-Identifier: Apache-2.0
// Who may be where when, as a model, explored exhaustively: the claim of a transmit queue
// (rvs/src/claim.hpp), calls that are cut short and come back, or never do, the queue's own STOP
// and SETUP, port_close() and the source's heir; and against all of them a receiver that stops, and
// gives its memory back once STOP says that it may (kill, grace_begin, grace_over).
//
//   CPU 0, CPU 1   one queue of one port; either may be cut short anywhere, and both killed
//   CPU 2          another port, which gets the source when it is free
//   receiver       STOP until it says yes, memory gone; then SETUP and START with other memory, and
//                  the same again
//   manager        closes the first port when its process has ended
//
// What must not be: two calls of a queue inside at once, two at one lane, a store of any call that
// reaches memory which was given back, an order of lane ends other than that of the calls.
//
// One step is one load, store or locked operation of the code, named in the enums below. Loads and
// locked operations see and change memory at once; plain stores wait in their CPU's buffer, first
// in first out, for as long as they like, and a locked operation waits for the buffer: x86-TSO
// (Owens, Sarkar, Sewell 2009). Compilers keep release stores in order, and seq_cst ones are
// locked. Without buffers the model would not see why after_cut() needs a seq_cst store: see the
// last test.
//
// Nobody waits for anybody: each step but port_close()'s first, whose caller answers for it, is
// there whatever the others do. So whoever stops for ever, wherever, stops nobody.
#pragma once

#include "claim_state.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <vector>

namespace claims {

class ClaimModel {
  public:
    using State = claims::State;

    // How much of everything there is: all states would be too many.
    struct Limits {
        std::array<std::uint8_t, cpus> operations;
        std::uint8_t cuts;
        std::uint8_t rounds; // of the receiver
        bool buffers = true;
    };

    explicit ClaimModel(Defect defect, Limits limits) : defect_{defect}, limits_{limits} {}

    [[nodiscard]] State first() const
    {
        State s;
        for (std::size_t c = 0; c < cpus; ++c)
            s.cpu[c].left = limits_.operations[c];
        return s;
    }

    std::string successors(const State &s, std::vector<State> &out)
    {
        wrong_ = exclusive(s);
        for (int c = 0; c < cpus; ++c) {
            if (s.cpu[c].stores != 0)
                arrive(s, c, out);
            if (port_of(c) == 0 && s.killed != 0)
                continue;
            if (s.cpu[c].step == idle)
                begin(s, c, out);
            else
                go_on(s, c, out);
        }
        receiver(s, out);
        misfortune(s, out);
        manager(s, out);
        return wrong_;
    }

  private:
    [[nodiscard]] bool inside(const Cpu &cpu) const
    {
        return cpu.step > take && cpu.step < sweep &&
               (defect_ != Defect::own_stop_unclaimed || cpu.operation != stop);
    }
    static bool at_lane(const Cpu &cpu)
    {
        return cpu.step == copy || cpu.step == show || cpu.step == cut_show;
    }

    [[nodiscard]] std::string exclusive(const State &s) const
    {
        int in_queue = 0;
        int in_lane = 0;
        for (int c = 0; c < cpus; ++c) {
            if (port_of(c) == 0 && s.killed != 0)
                continue;
            in_queue += port_of(c) == 0 && inside(s.cpu[c]) ? 1 : 0;
            in_lane += at_lane(s.cpu[c]) ? 1 : 0;
        }
        if (in_queue > 1)
            return "two calls in one queue";
        return in_lane > 1 ? "two calls at one lane" : "";
    }

    // ----------------------------------------------------------------- memory of a CPU

    // The first store in its buffer becomes visible.
    void arrive(const State &s, int c, std::vector<State> &out)
    {
        State n = s;
        Cpu &cpu = n.cpu[c];
        const Store store = cpu.buffer[0];
        for (int i = 1; i < cpu.stores; ++i)
            cpu.buffer[i - 1] = cpu.buffer[i];
        cpu.buffer[--cpu.stores] = {};
        reach(n, c, store);
        out.push_back(n);
    }
    void reach(State &n, int c, Store store)
    {
        switch (store.place) {
        case at_memory:
            if ((n.gone >> store.value & 1) != 0)
                wrong_ = "a store into memory that was given back";
            break;
        case at_pos:
            n.pos = store.value;
            break;
        case at_calls:
            n.calls[port_of(c)] = store.value;
            break;
        default:
            n.busy[port_of(c)] = store.value;
        }
    }
    void plain(State &n, int c, Place place, int value)
    {
        const Store store{place, static_cast<std::uint8_t>(value)};
        Cpu &cpu = n.cpu[c];
        if (limits_.buffers)
            cpu.buffer[cpu.stores++] = store;
        else
            reach(n, c, store);
    }
    static std::uint8_t load(const State &s, int c, Place place)
    {
        const Cpu &cpu = s.cpu[c];
        for (int i = cpu.stores; i-- != 0;) {
            if (cpu.buffer[i].place == place)
                return cpu.buffer[i].value;
        }
        return place == at_pos ? s.pos : s.calls[port_of(c)];
    }

    // ------------------------------------------------------------------------- a caller

    void begin(const State &s, int c, std::vector<State> &out)
    {
        if (s.cpu[c].left == 0)
            return;
        constexpr std::array<std::array<Operation, 3>, cpus> choices{
            {{tx, tx, recover}, {tx, stop, setup}, {setup, setup, tx}}};
        for (std::size_t i = 0; i < 3; ++i) {
            const Operation operation = choices[static_cast<std::size_t>(c)][i];
            if (i != 0 && operation == choices[static_cast<std::size_t>(c)][i - 1])
                continue;
            // There is nothing to claim, or to send: nothing would happen.
            if ((operation == setup && s.owner != no_owner) ||
                (c == 2 && operation == tx && s.source[1] == 0))
                continue;
            State n = s;
            Cpu &cpu = n.cpu[c];
            --cpu.left;
            cpu.operation = operation;
            const bool early = defect_ == Defect::looks_before_claim && operation == tx;
            cpu.step = early ? early_look : take;
            out.push_back(n);
        }
    }

    // A step that waits for the buffer, or stores to it when it is full.
    [[nodiscard]] static bool locked(std::uint8_t step)
    {
        return step == take || step == cut_count || step == drop_source || step == drop_owner ||
               step == late_drop || step == claim_source || step == note_source || step == sweep;
    }

    void go_on(const State &s, int c, std::vector<State> &out)
    {
        const Cpu &was = s.cpu[c];
        const bool counts_plainly = defect_ == Defect::counts_plainly && was.step == cut_count;
        if (locked(was.step) && was.stores != 0 && !counts_plainly)
            return;
        if (was.stores == buffer_len)
            return;
        State n = s;
        Cpu &cpu = n.cpu[c];
        const int p = port_of(c);
        switch (was.step) {
        case take:
            claim(n, c);
            break;
        case cut_look:
            cpu.memory = n.lane_memory;
            cpu.step = n.source[p] != 0 && goes_on(n) ? cut_show : cut_count;
            break;
        case cut_show:
            plain(n, c, at_memory, cpu.memory);
            cpu.step = cut_count;
            break;
        case cut_count:
            if (counts_plainly)
                plain(n, c, at_calls, load(n, c, at_calls) + 1);
            else
                ++n.calls[p];
            entered(n, c);
            break;
        case find_source:
            cpu.step = n.source[p] != 0 ? look : count;
            break;
        case early_look:
            cpu.generation = n.live != 0 ? n.generation : std::uint8_t{0};
            cpu.step = take;
            break;
        case look:
            if (defect_ != Defect::looks_before_claim)
                cpu.generation = n.live != 0 ? n.generation : std::uint8_t{0};
            if (cpu.generation == 0) {
                cpu.step = count;
            } else if (n.seen == cpu.generation) {
                cpu.memory = n.lane_memory;
                cpu.step = copy;
            } else {
                cpu.step = fields;
            }
            break;
        case fields:
            cpu.memory = n.memory;
            cpu.step = look_again;
            break;
        case look_again:
            if (n.live == 0 || n.generation != cpu.generation) {
                cpu.step = count;
            } else {
                n.seen = cpu.generation;
                n.lane_memory = cpu.memory;
                cpu.step = copy;
            }
            break;
        case copy:
            plain(n, c, at_memory, cpu.memory);
            cpu.step = show;
            break;
        case show:
            if (load(n, c, at_pos) != n.shown)
                wrong_ = "a lane's end that is not the one of the call before";
            ++n.shown;
            plain(n, c, at_pos, n.shown);
            cpu.step = count;
            break;
        case count:
            if (defect_ == Defect::released_then_counts) {
                cpu.old = load(n, c, at_calls);
                plain(n, c, at_busy, 0);
                cpu.step = late_count;
            } else {
                plain(n, c, at_calls, load(n, c, at_calls) + 1);
                cpu.step = release;
            }
            break;
        case late_count:
            plain(n, c, at_calls, cpu.old + 1);
            returned(cpu);
            break;
        case drop_source:
            cpu.step = n.source[p] != 0 ? drop_owner : release;
            if (defect_ != Defect::frees_owner_first)
                n.source[p] = 0;
            break;
        case drop_owner:
            n.owner = no_owner;
            cpu.step = defect_ == Defect::frees_owner_first ? late_drop : release;
            break;
        case late_drop:
            n.source[p] = 0;
            cpu.step = release;
            break;
        case claim_source:
            if (n.owner == no_owner || (n.owner == 1 + p && n.source[p] == 0)) {
                n.owner = static_cast<std::uint8_t>(1 + p);
                ++n.owner_generation;
                cpu.step = note_source;
            } else {
                cpu.step = release;
            }
            break;
        case note_source:
            n.source[p] = 1;
            cpu.step = release;
            break;
        case release:
            if (defect_ != Defect::own_stop_unclaimed || cpu.operation != stop)
                plain(n, c, at_busy, 0);
            if (cpu.operation == stop)
                cpu.step = sweep;
            else
                returned(cpu);
            break;
        default: // sweep
            if (n.owner == 1 + p && n.source[p] == 0)
                n.owner = no_owner;
            returned(cpu);
        }
        out.push_back(n);
    }

    // after_cut(): whether what the call had begun can be shown.
    [[nodiscard]] bool goes_on(const State &s) const
    {
        if (defect_ == Defect::cut_work_unchecked)
            return s.seen != 0;
        const bool same = s.seen == s.generation || defect_ == Defect::cut_work_anywhere;
        return s.seen != 0 && s.live != 0 && same;
    }

    // Claim::take().
    void claim(State &n, int c)
    {
        Cpu &cpu = n.cpu[c];
        const int p = port_of(c);
        const auto mine = static_cast<std::uint8_t>(1 + c);
        if (defect_ == Defect::own_stop_unclaimed && cpu.operation == stop) {
            cpu.step = drop_source;
        } else if (defect_ == Defect::looks_then_claims && cpu.old == 0) {
            if (n.busy[p] == 0)
                cpu.old = 1; // and stores in its next step
            else
                refused(n, c, mine);
        } else if (n.busy[p] == 0 || cpu.old != 0) {
            n.busy[p] = mine;
            cpu.old = 0;
            entered(n, c);
        } else {
            refused(n, c, mine);
        }
    }
    void refused(State &n, int c, std::uint8_t mine)
    {
        Cpu &cpu = n.cpu[c];
        if (n.busy[port_of(c)] == mine || defect_ == Defect::any_cpu_again)
            cpu.step = cut_look;
        else if (cpu.operation == stop)
            cpu.step = sweep;
        else
            returned(cpu); // RVIF_E_BUSY
    }
    static void entered(State &n, int c)
    {
        Cpu &cpu = n.cpu[c];
        switch (cpu.operation) {
        case tx:
            cpu.step = find_source;
            break;
        case stop:
            cpu.step = drop_source;
            break;
        case setup:
            cpu.step = n.source[port_of(c)] != 0 ? release : claim_source;
            break;
        default:
            cpu.step = release;
        }
    }
    // Nothing of a call is left behind; what it had in hand would only make states differ.
    static void returned(Cpu &cpu)
    {
        cpu.step = idle;
        cpu.operation = tx;
        cpu.generation = cpu.memory = cpu.old = cpu.before = 0;
    }

    // ----------------------------------------------------------------------- the receiver

    void receiver(const State &s, std::vector<State> &out)
    {
        State n = s;
        if (s.live_is_stale != 0) { // Defect::kills_plainly: the store arrives
            State late = s;
            late.live = 0;
            late.live_is_stale = 0;
            out.push_back(late);
        }
        const int owner = s.known_owner - 1;
        switch (s.receiving) {
        case running:
            if (s.round == limits_.rounds)
                return;
            if (defect_ == Defect::grace_before_kill) {
                n.receiving = grace_owner;
                began(n);
                break;
            }
            ++n.generation;
            n.receiving = killing;
            break;
        case killing:
            if (defect_ == Defect::kills_plainly)
                n.live_is_stale = 1;
            else
                n.live = 0;
            n.receiving = grace_owner;
            if (defect_ == Defect::grace_before_kill)
                n.receiving = n.known_owner != 0 ? over_owner : given_back;
            else
                began(n);
            if (defect_ == Defect::no_grace)
                n.receiving = given_back;
            break;
        case grace_owner:
            n.known_owner = s.owner;
            n.known_generation = s.owner_generation;
            if (s.owner == no_owner)
                n.receiving = after_begin(n, false);
            else
                n.receiving = grace_busy;
            break;
        case grace_busy:
            if (s.busy[owner] == 0)
                n.receiving = after_begin(n, false);
            else
                n.receiving = grace_calls;
            break;
        case grace_calls:
            n.known_calls = s.calls[owner];
            n.receiving = after_begin(n, true);
            break;
        case over_owner:
            // A call that began before the grace is over by now, says who set Limits::call_ms.
            if (s.live_is_stale != 0)
                return; // stop() has a locked operation here
            if (std::none_of(std::begin(s.cpu), std::end(s.cpu), [](const Cpu &cpu) {
                    return cpu.before != 0 || (cpu.step <= take && cpu.stores != 0);
                })) {
                State late = s;
                late.receiving = given_back;
                out.push_back(late);
            }
            n.receiving = over_busy;
            if (s.owner != s.known_owner || s.owner_generation != s.known_generation)
                n.receiving = given_back;
            break;
        case over_busy:
            n.receiving = s.busy[owner] == 0 ? given_back : over_calls;
            break;
        case over_calls:
            n.receiving = s.calls[owner] != s.known_calls ? given_back : over_owner;
            break;
        case given_back:
            if (s.live_is_stale != 0)
                return;
            n.gone = static_cast<std::uint8_t>(s.gone | 1 << s.memory);
            n.known_owner = n.known_generation = n.known_calls = 0;
            ++n.round;
            n.receiving = n.round == limits_.rounds ? ended : set_up;
            break;
        case set_up:
            // RX_SETUP kills again; START lives if nothing has changed.
            ++n.memory;
            ++n.generation;
            n.receiving = running;
            ++n.generation;
            n.live = 1;
            break;
        default:
            return;
        }
        out.push_back(n);
    }
    static void began(State &n)
    {
        for (Cpu &cpu : n.cpu)
            cpu.before = cpu.step == idle ? 0 : 1;
    }
    // grace_begin() is through; wait: somebody was inside.
    std::uint8_t after_begin(State &n, bool wait)
    {
        if (!wait)
            n.known_owner = n.known_generation = 0;
        if (defect_ == Defect::grace_before_kill) {
            ++n.generation;
            return killing;
        }
        return wait ? over_owner : given_back;
    }

    // -------------------------------------------------------------- what befalls the others

    void misfortune(const State &s, std::vector<State> &out)
    {
        if (s.killed != 0)
            return;
        for (int c = 0; c < cpus && s.cuts < limits_.cuts; ++c) {
            if (s.cpu[c].step == idle)
                continue;
            State n = s;
            ++n.cuts;
            returned(n.cpu[c]);
            out.push_back(n);
        }
        State n = s;
        n.killed = 1;
        for (int c = 0; c < cpus; ++c) {
            if (port_of(c) == 0) {
                returned(n.cpu[c]);
                n.cpu[c].left = 0;
            }
        }
        if (defect_ == Defect::closed_while_running) {
            n = s;
            n.killed = 0;
            n.closing = 1;
            if (s.closing != 0)
                return;
        }
        out.push_back(n);
    }

    // port_close() of the first port.
    void manager(const State &s, std::vector<State> &out)
    {
        State n = s;
        switch (s.closing) {
        case 0:
            // A process that has ended has left its CPUs: all that it stored is there.
            if (s.killed == 0 || s.cpu[0].stores != 0 || s.cpu[1].stores != 0)
                return;
            n.closing = 1;
            break;
        case 1:
            n.source[0] = 0;
            n.closing = 2;
            break;
        case 2:
            if (s.owner == 1)
                n.owner = no_owner;
            n.closing = 3;
            break;
        case 3:
            n.busy[0] = 0;
            n.closing = 4;
            break;
        default:
            return;
        }
        out.push_back(n);
    }

    Defect defect_;
    Limits limits_;
    std::string wrong_;
};

} // namespace claims
