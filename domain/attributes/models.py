from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index, String, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from domain.columns import BigInt, Json
from domain.tables import key, moment, ref, within


class AttributeType(StrEnum):
    """What the values of an attribute are. CHOICE takes one of the attribute's choices, CHOICES any number of them."""

    TEXT = "TEXT"
    NUMBER = "NUMBER"
    FLAG = "FLAG"
    DAY = "DAY"
    CHOICE = "CHOICE"
    CHOICES = "CHOICES"


class Attribute(SQLModel, table=True):
    """What a brand wants to know of its fans (自定义属性). Its key and its type never change."""

    __tablename__ = "attributes"
    __table_args__ = (
        within("brands", "group_id", "brand_id"),
        UniqueConstraint("brand_id", "key"),
        UniqueConstraint("brand_id", "id"),
        CheckConstraint(f"type IN ({', '.join(repr(t.value) for t in AttributeType)})", name="type"),
    )

    id: int = key()
    group_id: int = ref()
    brand_id: int = ref()
    key: str = Field(sa_type=String(64))
    name: str = Field(sa_type=String(100))
    type: AttributeType = Field(sa_type=String(8))
    choices: list[str] = Field(default_factory=list, sa_type=Json)
    description: str | None = Field(default=None, sa_type=String(500))
    fan_visible: bool = Field(default=False)
    fan_writable: bool = Field(default=False)
    archived_at: datetime | None = moment(nullable=True)
    created_at: datetime = moment(now=True)


class FanAttribute(SQLModel, table=True):
    """One value of a fan; several choices are several rows. `number` holds what can be compared: a number in
    ten-thousandths, a flag as 0 or 1, a day by its ordinal.
    """

    __tablename__ = "fan_attributes"
    __table_args__ = (
        within("fans", "brand_id", "fan_id"),
        within("attributes", "brand_id", "attribute_id"),
        Index(
            "ix_fan_attributes_text",
            "attribute_id",
            "text",
            "fan_id",
            sqlite_where=text("text IS NOT NULL"),
            postgresql_where=text("text IS NOT NULL"),
        ),
        Index(
            "ix_fan_attributes_number",
            "attribute_id",
            "number",
            "fan_id",
            sqlite_where=text("number IS NOT NULL"),
            postgresql_where=text("number IS NOT NULL"),
        ),
        CheckConstraint("(text IS NULL) <> (number IS NULL)", name="one_value"),
    )

    fan_id: int = Field(primary_key=True, sa_type=BigInt)
    attribute_id: int = Field(primary_key=True, sa_type=BigInt)
    item: int = Field(default=0, primary_key=True)
    group_id: int = ref()
    brand_id: int = ref()
    text: str | None = Field(default=None, sa_type=String(500))
    number: int | None = Field(default=None, sa_type=BigInt)
    updated_at: datetime = moment(now=True)
