// SPDX-License-Identifier: Apache-2.0
#include "cases.hpp"
#include "parties.hpp"
#include "stubs.hpp"

#include <memory>
#include <stdexcept>
#include <vector>

namespace vmm {
namespace {

std::string error(std::int64_t result)
{
    return "result " + std::to_string(result);
}

void few_aborts(Report &report, Host &host)
{
    Manager manager{host};
    manager.publish("vmm-aborts");
    Guest guest{host};
    elisa_vm_quota quota = Host::unchanged(guest.id);
    quota.aborts_per_s = 3;
    host.set(quota);
    guest.attach(manager, "vmm-aborts");
    if (guest.arm() != 0) {
        throw std::runtime_error{"not armed"};
    }
    constexpr std::uint64_t no_instruction = 0x800; // of the gate's page
    const std::uint64_t before = host.stats().throttled;
    bool aborted = true;
    for (int i = 0; i < 8; ++i) {
        const Crossing c = guest.vm.cross(guest.gate, guest.token, 0, 0, no_instruction);
        aborted &= c.end == End::out && c.status == -ELISA_E_GATE;
    }
    const std::uint64_t waited = host.stats().throttled - before;
    report.expect("who is aborted too often waits", aborted && waited > 0,
                  std::to_string(waited) + " times");
}

} // namespace

void quotas(Report &report)
{
    Host host;
    {
        Manager manager{host};
        elisa_vm_quota quota = Host::unchanged(manager.id);
        quota.exports = 2;
        host.set(quota);
        const std::int64_t first = manager.create("vmm-1", 1), second = manager.create("vmm-2", 1),
                           third = manager.create("vmm-3", 1);
        report.expect("exports", first == 0 && second == 0 && third == -ELISA_E_QUOTA,
                      error(third));
    }
    {
        Manager manager{host};
        constexpr std::uint64_t pages = 64;
        if (manager.create("vmm-tables", pages) != 0) {
            throw std::runtime_error{"no export"};
        }
        elisa_vm_quota quota = Host::unchanged(manager.id);
        quota.table_pages = pages / 2;
        host.set(quota);
        const std::int64_t result = manager.add(0, at::data, pages << 12, ELISA_MAP_RODATA);
        const std::uint64_t held = host.vm(manager.id).table_pages;
        report.expect("pages of the host", result == -ELISA_E_NOMEM && held <= pages / 2,
                      error(result) + ", " + std::to_string(held) + " pages");
    }
    few_aborts(report, host);
}

void event_queue(Report &report)
{
    constexpr std::uint32_t most = 256; // but for DETACH, which always fits
    constexpr std::uint64_t attachments = 4, regions = 16;
    Host host;
    Manager manager{host};
    manager.publish("vmm-events");
    const auto hurry = [&](std::uint64_t vm) {
        elisa_vm_quota quota = Host::unchanged(vm);
        quota.calls_per_s = ~0u - 1;
        host.set(quota);
    };
    hurry(manager.id);
    std::uint64_t refused = 0;
    std::vector<std::unique_ptr<Guest>> guests;
    for (int i = 0; i < 3; ++i) {
        guests.push_back(std::make_unique<Guest>(host));
        hurry(guests.back()->id);
    }
    std::vector<std::uint64_t> handles;
    for (const auto &guest : guests) {
        for (std::uint64_t instance = 1; instance <= attachments; ++instance) {
            guest->attach(manager, "vmm-events", instance);
            for (std::uint64_t n = 0; n < regions; ++n) {
                refused += guest->commit_region() < 0 ? 1 : 0;
                manager.serve();
            }
            handles.push_back(guest->handle);
        }
    }
    report.expect("while they are answered none is refused", refused == 0);
    // Each leaves an event from now on, as nobody answers.
    auto handle = handles.begin();
    for (const auto &guest : guests) {
        for (std::uint64_t instance = 1; instance <= attachments; ++instance) {
            guest->handle = *handle++;
            for (std::uint64_t n = 0; n < regions; ++n) {
                refused += guest->remove_region(n) != 0 ? 1 : 0;
            }
            for (std::uint64_t n = 0; n < regions; ++n) {
                refused += guest->commit_region() < 0 ? 1 : 0;
            }
        }
    }
    const std::uint32_t waiting = host.events(manager.export_id);
    report.expect("unanswered events are bounded", waiting == most && refused > 0,
                  std::to_string(waiting) + " wait, " + std::to_string(refused) + " refused");
    guests.clear();
    const std::uint32_t after = host.events(manager.export_id);
    report.expect("that an attachment has gone is told nevertheless",
                  after == waiting + handles.size(), std::to_string(after) + " wait");
    manager.serve();
    Guest guest{host};
    guest.attach(manager, "vmm-events");
    const std::int64_t result = guest.arm();
    report.expect("answered, they make room", result == 0, error(result));
}

} // namespace vmm
