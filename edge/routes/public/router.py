"""Every route that needs no sign-in, but for ``/auth``."""

from litestar import Router

from edge.routes.public.categories import list_categories, show_category
from edge.routes.public.parts import list_parts, show_part
from edge.routes.public.reservations import reservations_router
from edge.routes.public.stock import show_stock

_catalogue = Router(
    path="/", tags=["parts"], route_handlers=[list_parts, show_part, show_stock, list_categories, show_category]
)

public_router = Router(path="/", route_handlers=[_catalogue, reservations_router])
