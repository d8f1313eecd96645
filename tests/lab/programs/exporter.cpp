// SPDX-License-Identifier: Apache-2.0
#include "elisa/doorbell.hpp"
#include "elisa/memory.hpp"
#include "probes.hpp"
#include "program.hpp"

namespace probes {

int exporter()
{
    constexpr std::uint64_t page = 4096;
    constexpr std::uint64_t size = 16 * page;
    constexpr std::uint64_t rom = 0xffff'f000; // the end of QEMU's firmware: a read-only slot
    constexpr std::uint64_t apic = 0xfee0'0000;
    constexpr std::uint64_t nowhere = 1ull << 40;

    const auto memory = elisa::HugeMemory::allocate(elisa::huge_page_size);
    if (!memory) {
        return apps::fail("lab-probe", memory.error());
    }
    const auto range = memory->range();
    const auto runs = elisa::resolve(std::span{&range, 1});
    if (!runs) {
        return apps::fail("lab-probe", runs.error());
    }
    const std::uint64_t own = runs->front().gpa.value();
    const auto name = elisa::doorbell::pack_name("probe");
    const auto created = elisa::doorbell::call(
        ELISA_CALL_EXPORT_CREATE,
        {.rbx = (*name)[0], .rsi = (*name)[1], .rdi = (*name)[2], .r8 = (*name)[3], .r9 = size},
        "creating an export");
    if (!created) {
        return apps::fail("lab-probe", created.error());
    }
    const auto add = [&](std::uint64_t offset, std::uint64_t gpa, std::uint64_t length,
                         std::uint64_t kind) {
        elisa::doorbell::Registers registers{
            .rbx = created->rbx, .rsi = offset, .rdi = gpa, .r8 = length, .r9 = kind};
        return elisa::doorbell::ring(ELISA_CALL_EXPORT_ADD, registers);
    };
    const auto simple = [&](elisa_call number) {
        elisa::doorbell::Registers registers{.rbx = created->rbx};
        return elisa::doorbell::ring(number, registers);
    };

    apps::Json wrong = apps::Json::array();
    const auto expect = [&](const char *what, std::int64_t wanted, std::int64_t answer) {
        if (answer != wanted) {
            wrong.push_back(std::string{what} + ": " + std::to_string(answer));
        }
    };
    expect("text", 0, add(0, own, page, ELISA_MAP_TEXT));
    expect("data", 0, add(page, own + page, page, ELISA_MAP_DATA));
    expect("data over data", -ELISA_E_OVERLAP, add(page, own + page, page, ELISA_MAP_DATA));
    expect("a read-only slot", -ELISA_E_MEMORY, add(2 * page, rom, page, ELISA_MAP_DATA));
    expect("the APIC", -ELISA_E_MEMORY, add(3 * page, apic, page, ELISA_MAP_DATA));
    expect("no memory", -ELISA_E_MEMORY, add(4 * page, nowhere, page, ELISA_MAP_DATA));
    expect("beyond the object", -ELISA_E_INVAL, add(size, own, page, ELISA_MAP_DATA));
    expect("across its end", -ELISA_E_INVAL, add(size - page, own, 2 * page, ELISA_MAP_DATA));
    expect("no page", -ELISA_E_INVAL, add(5 * page, own + 8, page, ELISA_MAP_DATA));
    expect("no kind", -ELISA_E_INVAL, add(5 * page, own, page, 7));
    expect("publishing", 0, simple(ELISA_CALL_EXPORT_PUBLISH));
    expect("after that", -ELISA_E_STATE, add(5 * page, own, page, ELISA_MAP_TEXT));
    expect("publishing again", -ELISA_E_STATE, simple(ELISA_CALL_EXPORT_PUBLISH));
    expect("destroying", 0, simple(ELISA_CALL_EXPORT_DESTROY));
    expect("destroying again", -ELISA_E_NOENT, simple(ELISA_CALL_EXPORT_DESTROY));

    apps::print_result({{"probe", "exporter"}, {"wrong", wrong}, {"ok", wrong.empty()}});
    return wrong.empty() ? 0 : 1;
}

} // namespace probes
