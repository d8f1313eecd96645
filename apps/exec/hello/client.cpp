// SPDX-License-Identifier: Apache-2.0
// Asks for the greeting, a character a crossing.
#include "elisa/guest.hpp"

#include <cstdio>
#include <string>

int main(int argc, char **argv)
{
    auto attachment = elisa::Attachment::attach(argc > 1 ? argv[1] : "hello");
    if (!attachment) {
        std::fprintf(stderr, "hello: %s\n", attachment.error().message.c_str());
        return 1;
    }
    std::string text;
    for (;;) {
        const elisa::CallResult letter = attachment->call(text.size());
        if (!letter.ok()) {
            std::fprintf(stderr, "hello: the call was cut short (%lld)\n",
                         static_cast<long long>(letter.status));
            return 1;
        }
        if (letter.value == 0) {
            break;
        }
        text += static_cast<char>(letter.value);
    }
    std::printf("%s\n%lld calls so far\n", text.c_str(),
                static_cast<long long>(attachment->call(UINT64_MAX).value));
}
