"""The embedded Redis keeps what must stay, and bounds what strangers can make the cache remember."""

import redis

from tests.harness.own_redis import OwnRedis

VALUE = b"x" * 100_000


def test_with_memory_full_values_with_a_lifetime_leave_and_jobs_stay(own_redis: OwnRedis) -> None:
    with redis.Redis.from_url(own_redis.url) as client:
        assert client.config_get("maxmemory*")["maxmemory-policy"] == "volatile-ttl"
        assert int(client.config_get("maxmemory")["maxmemory"]) == 512 * 1024 * 1024
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 3_000_000)
        client.rpush("job", VALUE)

        for number in range(100):
            client.set(f"cached-{number}", VALUE, ex=600)

        assert client.lrange("job", 0, -1) == [VALUE]
        assert 0 < len(client.keys("cached-*")) < 100
