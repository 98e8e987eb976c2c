// A stranger's program: it includes one header, and knows nothing of how coati is built.

#include <coati/client.hpp>

#include <boost/asio/io_context.hpp>

#include <iostream>

int other_file();

int main()
{
    const coati::result<coati::config> config = coati::config::parse("127.0.0.1:2181/app");
    if (!config)
        return 1;
    boost::asio::io_context context;
    const coati::client zk(context.get_executor(), config.value());
    std::cout << "consumer: " << other_file() << '\n';
}
