// Credentials and how they are forgotten.

#include <coati/auth.hpp>

#include <utility>

namespace coati {

void wipe(char* bytes, std::size_t count) noexcept
{
    volatile char* const each = bytes;
    for (std::size_t i = 0; i < count; ++i) {
        each[i] = 0;
    }
}

void wipe(std::string& text) noexcept
{
    text.resize(text.capacity());  // never allocates; what lies behind the end goes as well
    wipe(text.data(), text.size());
    text.clear();
}

auth_info auth_info::digest(std::string_view user, std::string_view password)
{
    std::string both;
    both.reserve(user.size() + 1 + password.size());  // growing would leave a copy behind
    both.append(user).append(":").append(password);
    auth_info made("digest", std::move(both));
    wipe(both);
    return made;
}

}  // namespace coati
