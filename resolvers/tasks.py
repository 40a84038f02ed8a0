"""What fans can earn today."""

from domain.errors import NotFound
from domain.fans.queries import fans_by_any_id, get_fan
from domain.ids import FanId
from domain.page import Page, PageArgs
from domain.points.earning.queries import READ_GRANTS
from domain.tasks import queries
from domain.tasks.queries import Task, TaskFilter
from resolvers.context import Context
from resolvers.fans import own_fan_id


async def list_tasks(
    context: Context, *, page: PageArgs, fan_id: FanId, filter: TaskFilter | None = None
) -> Page[Task]:
    """List what a fan can earn points and growth by today, with how far they are and what the caps leave."""
    async with context.reading() as session:
        fan = (await fans_by_any_id(session, context.scope, [fan_id], READ_GRANTS)).get(fan_id)
        if fan is None:
            raise NotFound("No such fan.", field=("fanId",))
        return await queries.list_tasks(session, fan, page, filter)


async def my_tasks(context: Context, *, page: PageArgs, filter: TaskFilter | None = None) -> Page[Task]:
    """List what I can earn points and growth by today, with how far I am and what the caps leave."""
    async with context.reading() as session:
        fan = await get_fan(session, context.scope, own_fan_id(context))
        return await queries.list_tasks(session, fan, page, filter)
