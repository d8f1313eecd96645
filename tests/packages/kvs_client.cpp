// SPDX-License-Identifier: Apache-2.0
// A program of somebody's who installed libelisa-dev: puts a value into the store at a socket, and
// gets it back.
#include <cstdio>
#include <kvs/client.hpp>

int main(int, char **argv)
{
    auto client = kvs::Client::connect({.socket = argv[1], .label = argv[2]});
    if (!client) {
        std::fprintf(stderr, "%s\n", client.error().message.c_str());
        return 1;
    }
    if (const auto put = client->put("greeting", "hello"); !put || *put != kvs::Status::done) {
        return 2;
    }
    const auto value = client->get("greeting");
    return value && *value && (*value)->bytes == "hello" ? 0 : 3;
}
