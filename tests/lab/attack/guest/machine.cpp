// SPDX-License-Identifier: Apache-2.0
#include "machine.hpp"

extern "C" {
extern attack::u8 trap_entries[], nmi_entry[], ap_start[], ap_end[];

void *memset(void *to, int value, std::size_t n)
{
    void *const result = to;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(value) : "memory");
    return result;
}

void *memcpy(void *to, const void *from, std::size_t n)
{
    void *const result = to;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n)::"memory");
    return result;
}
}

namespace attack {

constinit Cpu cpus[2];

namespace {

constexpr u16 serial = 0x3f8;
constexpr u16 exit_port = 0xf4; // isa-debug-exit
constexpr u64 trap_stack_size = 0x4000;
constexpr u16 sipi_page = 0x8;

u64 next_page;
u64 *root;
bool serial_taken;
void (*second_main)();

struct [[gnu::packed]] Tss {
    u32 reserved0;
    u64 rsp[3];
    u64 reserved1;
    u64 ist[7];
    u64 reserved2;
    u16 reserved3;
    u16 io_bitmap;
};

// What a process executes; the rest is INT3.
constexpr u8 doorbell_bytes[] = {0xed};
constexpr u8 vmfunc_bytes[] = {0x0f, 0x01, 0xd4};

u64 *entry_of(u64 va, u64 *table, unsigned level, bool make)
{
    for (unsigned at = 3;; --at) {
        u64 &entry = table[va >> (12 + 9 * at) & 511];
        if (at == level) {
            return &entry;
        }
        if ((entry & pte::present) == 0 || (entry & pte::large) != 0) {
            if (!make) {
                return nullptr;
            }
            entry = new_page() | pte::anyone;
        }
        table = reinterpret_cast<u64 *>(entry & 0x000f'ffff'ffff'f000);
    }
}

void build_memory()
{
    root = reinterpret_cast<u64 *>(new_page());
    for (u64 gpa = 0; gpa < 1ull << 32; gpa += huge) {
        *entry_of(gpa, root, 1, true) = gpa | pte::kernel | pte::large;
    }
    for (u64 page = 0; page < 4; ++page) {
        map(user_va + page * page_size, new_page(), pte::anyone);
    }
    cpu::cr3(kernel_root());
    memset(reinterpret_cast<void *>(user_va), 0xcc, 2 * page_size);
    memcpy(reinterpret_cast<void *>(user_doorbell), doorbell_bytes, sizeof(doorbell_bytes));
    memcpy(reinterpret_cast<void *>(user_vmfunc), vmfunc_bytes, sizeof(vmfunc_bytes));
}

void fill_gdt(Cpu &cpu)
{
    u64 *const g = cpu.gdt;
    g[1] = 0x00af9b000000ffff;
    g[2] = 0x00cf93000000ffff;
    g[3] = 0x00cff3000000ffff;
    g[4] = 0x00affb000000ffff;
    g[5] = 0x00cffb000000ffff;
    g[6] = 0x00cf9b000000ffff;
    g[7] = 0x000f9b000000ffff;
    const u64 tss = cpu.tss;
    g[8] = (sizeof(Tss) - 1) | (tss & 0xffffff) << 16 | u64{0x89} << 40 | (tss >> 24 & 0xff) << 56;
    g[9] = tss >> 32;
}

void fill_idt(const Cpu &cpu)
{
    auto *const gates = reinterpret_cast<u64 *>(cpu.idt);
    for (u64 vector = 0; vector < 256; ++vector) {
        const bool nmi = vector == 2;
        const u64 handler = nmi ? reinterpret_cast<u64>(nmi_entry)
                                : reinterpret_cast<u64>(trap_entries) + 16 * (vector & 63);
        const u64 stack = nmi ? 2 : 1; // in the TSS: an NMI comes on top of anything
        // Interrupt gate, DPL 3.
        gates[2 * vector] = (handler & 0xffff) | u64{selector::kernel_code} << 16 | stack << 32 |
                            u64{0xee} << 40 | (handler >> 16 & 0xffff) << 48;
        gates[2 * vector + 1] = handler >> 32;
    }
}

void prepare(Cpu &cpu, u32 number)
{
    cpu.number = number;
    cpu.gdt = reinterpret_cast<u64 *>(new_page());
    cpu.idt = new_page();
    cpu.tss = new_page();
    u64 stack = new_page();
    while (new_page() - stack < trap_stack_size - page_size) {
    }
    // Above what the CPU pushes: whose stack it is.
    const u64 top = stack + trap_stack_size - 16;
    *reinterpret_cast<Cpu **>(top) = &cpu;
    auto &tss = *reinterpret_cast<Tss *>(cpu.tss);
    tss.ist[0] = top;
    tss.ist[1] = new_page() + page_size;
    tss.io_bitmap = sizeof(Tss);
    fill_idt(cpu);
}

} // namespace

void print(const char *text)
{
    while (__atomic_test_and_set(&serial_taken, __ATOMIC_ACQUIRE)) {
        cpu::pause();
    }
    for (; *text != 0; ++text) {
        cpu::out8(serial, static_cast<u8>(*text));
    }
    __atomic_clear(&serial_taken, __ATOMIC_RELEASE);
}

void print(u64 number, unsigned base)
{
    char text[24];
    char *at = text + sizeof(text) - 1;
    *at = 0;
    do {
        *--at = "0123456789abcdef"[number % base];
        number /= base;
    } while (number != 0);
    print(at);
}

void print(Hex number)
{
    print("0x");
    print(number.value, 16);
}

void finish(unsigned status)
{
    say("ELISA-EXIT ", u64{status});
    cpu::out32(exit_port, status);
    for (;;) {
        __asm__ volatile("hlt");
    }
}

u64 new_page()
{
    const u64 page = next_page;
    next_page += page_size;
    memset(reinterpret_cast<void *>(page), 0, page_size);
    return page;
}

void map(u64 va, u64 gpa, u64 flags)
{
    *entry_of(va, root, 0, true) = gpa | flags;
    __asm__ volatile("invlpg (%0)" ::"r"(va) : "memory");
}

void unmap(u64 va)
{
    if (u64 *const entry = entry_of(va, root, 0, false); entry != nullptr) {
        *entry = 0;
        __asm__ volatile("invlpg (%0)" ::"r"(va) : "memory");
    }
}

u64 kernel_root()
{
    return reinterpret_cast<u64>(root);
}

u64 copy_root()
{
    const u64 copy = new_page();
    memcpy(reinterpret_cast<void *>(copy), root, page_size);
    return copy;
}

void load_tables(Cpu &cpu)
{
    fill_gdt(cpu); // the TSS is no longer busy
    cpu::lgdt({8 * 16 - 1, reinterpret_cast<u64>(cpu.gdt)});
    cpu::lidt({256 * 16 - 1, cpu.idt});
    cpu::lldt(0);
    cpu::ltr(selector::tss);
}

void machine_init(Cpu &cpu)
{
    next_page = tables_gpa;
    build_memory();
    prepare(cpu, 0);
    load_tables(cpu);
    // No interrupts but those that a case asks for.
    cpu::out8(0x21, 0xff);
    cpu::out8(0xa1, 0xff);
    cpu::cr4(cpu::cr4() | cr4::osfxsr | cr4::osxmmexcpt | cr4::osxsave);
    cpu::xsetbv(7);
    cpu::cr0(cpu::cr0() & ~(cr0::ts | cr0::em));
    cpu::wrmsr(msr::apic_base, cpu::rdmsr(msr::apic_base) | 3 << 10); // x2APIC
}

void start_second_cpu(void (*main)())
{
    second_main = main;
    prepare(cpus[1], 1);
    memcpy(reinterpret_cast<void *>(u64{sipi_page} << 12), ap_start,
           static_cast<u64>(ap_end - ap_start));
    init_second_cpu();
    start_it_again();
}

void send_second_cpu(u32 interrupt)
{
    cpu::wrmsr(msr::icr, 1ull << 32 | interrupt);
}

void init_second_cpu()
{
    send_second_cpu(icr_init);
}

void start_it_again()
{
    send_second_cpu(icr_startup | sipi_page);
}

} // namespace attack

extern "C" void second_cpu_main()
{
    using namespace attack;
    cpus[1].frame = nullptr; // it may have come from anywhere
    cpu::cr3(kernel_root());
    load_tables(cpus[1]);
    cpu::cr4(cpu::cr4() | cr4::osfxsr | cr4::osxmmexcpt | cr4::osxsave);
    cpu::xsetbv(7);
    second_main();
}

extern "C" [[noreturn]] void unexpected_trap(attack::u64 vector, attack::u64 error, attack::u64 rip,
                                             attack::u64 address)
{
    using namespace attack;
    say("attack: a mistake of its own: vector ", vector, " error ", Hex{error}, " at ", Hex{rip},
        ", CR2 ", Hex{address});
    finish(3);
}
