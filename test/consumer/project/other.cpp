// A second file with the same header: nothing in it may be defined twice.

#include <coati/client.hpp>

int other_file();

int other_file()
{
    const coati::result<coati::config> nonsense = coati::config::parse("127.0.0.1:99999");
    return nonsense ? 1 : 42;
}
